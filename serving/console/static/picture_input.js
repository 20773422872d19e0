// A picture of the reader's own: dropped, pasted, chosen, or one of the package's examples.

import {call, consolePath} from "./api.js";
import {make} from "./dom.js";

const MAX_EXAMPLES = 8;
const PICTURES = "image/jpeg,image/png,image/webp,image/bmp,image/gif";

/** `take(blob)` gets each picture. Returns {element, stop}. */
export function pictureInput(model, take) {
  const input = make("input", {
    type: "file", accept: PICTURES, class: "visually-hidden", id: "picture",
    onchange() { if (input.files[0]) take(input.files[0]); input.value = ""; },
  });
  const zone = make("label", {class: "drop", for: "picture"},
    make("strong", {}, "Drop a picture here"), make("span", {class: "muted small"}, "or paste one, or choose a file"), input);
  const examples = make("div", {class: "examples", role: "group", "aria-label": "Examples"});
  const addresses = [];
  let isStopped = false;

  const over = (event) => { event.preventDefault(); zone.classList.add("over"); };
  const drop = (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const file = [...event.dataTransfer.files].find((one) => one.type.startsWith("image/"));
    if (file) take(file);
  };
  const paste = (event) => {
    const item = [...event.clipboardData.items].find((one) => one.type.startsWith("image/"));
    if (item) take(item.getAsFile());
  };
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", drop);
  document.addEventListener("paste", paste);

  async function addExamples() {
    for (let index = 0; index < Math.min(MAX_EXAMPLES, model.num_examples) && !isStopped; index += 1) {
      const blob = await (await call(consolePath(model, `examples/${index}`))).blob();
      const address = URL.createObjectURL(blob);
      addresses.push(address);
      examples.append(make("button", {type: "button", class: "example", "aria-label": `Example ${index + 1}`, onclick: () => take(blob)},
        make("img", {src: address, alt: ""})));
    }
  }
  // Without examples the page still takes pictures; a key that is missing is asked for anyway.
  addExamples().catch(() => examples.remove());

  return {
    element: make("div", {class: "picture-input"}, zone,
      model.num_examples > 0 && make("div", {}, make("h4", {}, "Examples from the package"), examples)),
    stop() {
      isStopped = true;
      document.removeEventListener("paste", paste);
      addresses.forEach((address) => URL.revokeObjectURL(address));
    },
  };
}
