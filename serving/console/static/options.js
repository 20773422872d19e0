// The parameters of a request as fields. What is left as it is, is not sent.

import {make} from "./dom.js";

/**
 * `specs`: [{name, label, type: "number" | "range" | "select" | "text", value, …attributes, note}].
 * Returns {element, values()}; `changed` is called when one of them was changed.
 */
export function optionFields(specs, changed = () => {}) {
  const inputs = specs.map((spec) => {
    const {name, label, type, value = "", note, choices, ...attributes} = spec;
    const id = `option-${name}`;
    if (type === "select") {
      const element = make("select", {id, onchange: changed}, choices.map((one) => make("option", {value: one, selected: one === value}, one)));
      return {spec, element, field: field(id, label, element)};
    }
    const shown = make("output", {for: id}, type === "range" ? String(value) : "");
    const element = make("input", {id, type, ...attributes, value, onchange: changed, oninput: () => { if (type === "range") shown.textContent = element.value; }});
    return {spec, element, field: field(id, [label, type === "range" && [" ", shown]], element, note)};
  });
  return {
    element: make("fieldset", {class: "options"}, make("legend", {class: "visually-hidden"}, "Parameters"), inputs.map((one) => one.field)),
    /** Name → value of those that differ from what they were. */
    values() {
      const given = inputs.filter(({spec, element}) => element.value !== "" && element.value !== String(spec.value ?? ""));
      return Object.fromEntries(given.map(({spec, element}) =>
        [spec.name, ["number", "range"].includes(spec.type) ? Number(element.value) : element.value]));
    },
  };
}

const field = (id, label, element, note) => make("div", {class: "field"}, make("label", {for: id}, label), element, note && make("span", {class: "small muted"}, note));
