// Which model a view is about.

import {make} from "./dom.js";
import {words} from "./format.js";

/** A field that goes to the same view of another model. */
export function modelPicker(models, chosen, choose) {
  const select = make("select", {id: "model", onchange: () => choose(select.value)},
    models.map((model) => make("option", {value: model.key, selected: model.key === chosen}, `${model.key} (${model.kind ? words(model.kind).toLowerCase() : model.state.toLowerCase()})`)));
  return make("div", {class: "field"}, make("label", {for: "model"}, "Model"), select);
}

export function viewHead(title, text, ...tools) {
  return make("div", {class: "view-head"}, make("div", {}, make("h2", {}, title), make("p", {}, text)), make("div", {class: "view-tools"}, tools));
}
