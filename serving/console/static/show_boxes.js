// Boxes drawn over the picture, and the list of them.

import {make} from "./dom.js";
import {percent} from "./format.js";
import {cssColour, inkOn} from "./palette.js";

export function showBoxes(prediction, figure) {
  const canvas = figure.querySelector(".canvas");
  const boxes = prediction.detections.map((one) => drawBox(one, prediction));
  const rows = prediction.detections.map((one, index) => {
    const key = make("span", {class: "swatch"});
    key.style.background = cssColour(one.class_id);
    const mark = (isMarked) => boxes.forEach((box, other) => box.classList.toggle("dimmed", isMarked && other !== index));
    return make("li", {}, make("button", {
      type: "button", class: "found", onpointerenter: () => mark(true), onpointerleave: () => mark(false), onfocus: () => mark(true), onblur: () => mark(false),
    }, key, make("span", {class: "label-name"}, one.label), make("span", {class: "number"}, percent(one.score))));
  });
  canvas.append(...boxes);
  const isFull = prediction.detections.length === prediction.max_detections;
  return [make("h3", {}, rows.length === 1 ? "1 object" : `${rows.length} objects`),
    rows.length ? make("ol", {class: "found-list"}, rows) : make("p", {class: "muted"}, "Nothing above this score."),
    isFull && make("p", {class: "notice warn small"}, "There may be more: as many were found as were asked for.")].filter(Boolean);
}

function drawBox(one, {width, height}) {
  const [left, top, right, bottom] = one.box;
  const box = make("div", {class: "object"}, make("span", {class: "object-label"}, `${one.label} ${percent(one.score, 0)}`));
  const colour = cssColour(one.class_id);
  box.style.left = `${100 * left / width}%`;
  box.style.top = `${100 * top / height}%`;
  box.style.width = `${100 * (right - left) / width}%`;
  box.style.height = `${100 * (bottom - top) / height}%`;
  box.style.borderColor = colour;
  box.firstChild.style.background = colour;
  box.firstChild.style.color = inkOn(one.class_id);
  if (top / height < 0.06) box.classList.add("inside");
  return box;
}
