// A mask over the picture: a legend whose classes can be switched off, and how much shines through.

import {make} from "./dom.js";
import {percent} from "./format.js";
import {colourOf, cssColour} from "./palette.js";
import {eachPixel} from "./rle.js";

const OPACITY = 60;

export function showMask(prediction, figure) {
  const canvas = make("canvas", {class: "mask", width: prediction.width, height: prediction.height, role: "img",
    "aria-label": `Mask: ${prediction.segments.map((one) => `${one.label} ${percent(one.area)}`).join(", ")}`});
  figure.querySelector(".canvas").append(canvas);
  const hidden = new Set(prediction.segments.filter((one) => one.label === "background").map((one) => one.class_id));
  const draw = () => paint(canvas, prediction, hidden);
  const opacity = make("input", {id: "opacity", type: "range", min: 0, max: 100, value: OPACITY, oninput: () => fade(canvas, opacity.value)});
  fade(canvas, OPACITY);
  draw();
  const rows = prediction.segments.map((one) => legendRow(one, hidden, draw));
  return [make("h3", {}, "Classes"), make("ul", {class: "found-list"}, rows),
    make("div", {class: "field"}, make("label", {for: "opacity"}, "Opacity of the mask"), opacity)];
}

const fade = (canvas, percentage) => { canvas.style.opacity = String(percentage / 100); };

function legendRow(segment, hidden, draw) {
  const key = make("span", {class: "swatch"});
  key.style.background = cssColour(segment.class_id);
  const box = make("input", {
    type: "checkbox", checked: !hidden.has(segment.class_id),
    onchange() {
      if (box.checked) hidden.delete(segment.class_id);
      else hidden.add(segment.class_id);
      draw();
    },
  });
  return make("li", {}, make("label", {class: "found"}, box, key, make("span", {class: "label-name"}, segment.label, make("span", {class: "sub"}, `mean confidence ${percent(segment.confidence, 0)}`)),
    make("span", {class: "number"}, percent(segment.area))));
}

function paint(canvas, prediction, hidden) {
  const {width, height} = prediction;
  const pixels = new ImageData(width, height);
  for (const segment of prediction.segments) {
    if (hidden.has(segment.class_id)) continue;
    const [red, green, blue] = colourOf(segment.class_id);
    eachPixel(segment.rle, (x, y) => {
      const at = 4 * (y * width + x);
      pixels.data[at] = red;
      pixels.data[at + 1] = green;
      pixels.data[at + 2] = blue;
      pixels.data[at + 3] = 255;
    });
  }
  // Pixels are put and never drawn: such a canvas is best kept where the processor has it.
  canvas.getContext("2d", {willReadFrequently: true}).putImageData(pixels, 0, 0);
}
