// Try it: a picture or a prompt of one's own, by the same endpoints that clients use.

import {empty, make} from "./dom.js";
import {modelPicker, viewHead} from "./model_picker.js";
import {tryPicture} from "./try_picture.js";
import {tryText} from "./try_text.js";

const TEXTS = {
  classification: "Give it a picture: it answers with the classes that it takes it for.",
  detection: "Give it a picture: it answers with boxes around what it finds.",
  segmentation: "Give it a picture: it answers with a class for every pixel.",
  captioning: "Give it a picture: it writes what it sees.",
  text_generation: "Give it a prompt: it writes on, and you can stop it.",
};

export function tryView(state, key, go) {
  const model = state.find(key);
  const head = (text, ...tools) => viewHead("Try it", text, ...tools);
  if (!model) return {element: [head(""), empty("Nothing to try", "No model is served.")], stop() {}};
  const picker = modelPicker(state.models, model.key, (chosen) => go("try", chosen));
  if (!(model.kind in TEXTS)) {
    return {element: [head("", picker), empty(`${model.key} is not ready`, model.reason || "It is being loaded.")], stop() {}};
  }
  const {element, stop} = model.kind === "text_generation" ? tryText(model) : tryPicture(model);
  return {element: [head(TEXTS[model.kind], picker), make("div", {class: "try"}, element)], stop};
}
