// A picture in, labels, boxes, a mask or captions out.

import {call, endpoint} from "./api.js";
import {empty, failure, loading, make} from "./dom.js";
import {milliseconds} from "./format.js";
import {optionFields} from "./options.js";
import {pictureInput} from "./picture_input.js";
import {showBoxes} from "./show_boxes.js";
import {streamCaption} from "./show_caption.js";
import {showLabels} from "./show_labels.js";
import {showMask} from "./show_mask.js";

const LEAST_WIDTH = 480, MOST_HEIGHT = 0.62;
const SHOW = {classification: showLabels, detection: showBoxes, segmentation: showMask};

function optionSpecs(model) {
  if (model.kind === "classification") {
    return [{name: "top_k", label: "Classes shown", type: "number", min: 1, max: Math.max(1, model.num_labels), value: Math.min(5, model.num_labels)}];
  }
  if (model.kind === "detection") {
    const threshold = model.task.score_threshold ?? 0.5;
    return [
      {name: "score_threshold", label: "Least score", type: "range", min: Math.max(0.01, model.task.min_score_threshold ?? 0.01), max: 1, step: 0.01, value: Math.round(threshold * 100) / 100},
      {name: "max_detections", label: "At most", type: "number", min: 1, max: 1000, value: model.task.max_detections ?? 100},
    ];
  }
  if (model.kind === "captioning") {
    return [
      {name: "max_tokens", label: "At most tokens", type: "number", min: 1, value: "", placeholder: String(model.task.defaults?.max_tokens ?? "default")},
      {name: "temperature", label: "Temperature", type: "number", min: 0, max: 5, step: 0.1, value: "", placeholder: String(model.task.defaults?.temperature ?? "default")},
      {name: "num_beams", label: "Beams", type: "number", min: 1, max: 16, value: "", placeholder: String(model.task.defaults?.num_beams ?? "default")},
    ];
  }
  return [];
}

/** Small pictures are shown larger, large ones no higher than most of the window. */
function enlarge(canvas, {naturalWidth: width, naturalHeight: height}) {
  canvas.style.width = `${Math.round(Math.min(Math.max(width, LEAST_WIDTH), MOST_HEIGHT * window.innerHeight * width / height))}px`;
}

export function tryPicture(model) {
  const stage = make("div", {class: "stage"}, empty("No picture yet", "Its answer will appear here."));
  let picture = null, address = "", running = null;

  const options = optionFields(optionSpecs(model), () => { if (picture) ask(); });
  const input = pictureInput(model, (blob) => { picture = blob; ask(); });

  async function ask() {
    running?.abort();
    const control = running = new AbortController();
    const before = address;
    address = URL.createObjectURL(picture);
    const canvas = make("div", {class: "canvas"});
    canvas.append(make("img", {src: address, alt: "The picture that was given", onload: (event) => enlarge(canvas, event.currentTarget)}));
    const figure = make("figure", {class: "picture"}, canvas);
    const answer = make("div", {class: "answer", "aria-live": "polite"}, loading("Asking"));
    stage.replaceChildren(figure, answer);
    if (before) URL.revokeObjectURL(before);
    try {
      if (model.kind === "captioning") await streamCaption(model, picture, options.values(), answer, control);
      else await askOnce(figure, answer, control.signal);
    } catch (error) {
      if (error.name !== "AbortError") answer.replaceChildren(failure(error));
    }
  }

  async function askOnce(figure, answer, signal) {
    const query = new URLSearchParams(options.values());
    const started = performance.now();
    const response = await call(`${endpoint(model)}${query.size ? `?${query}` : ""}`, {
      method: "POST", body: picture, headers: {"Content-Type": picture.type || "application/octet-stream"}, signal,
    });
    const told = await response.json();
    const took = performance.now() - started;
    answer.replaceChildren(...SHOW[model.kind](told.predictions[0], figure),
      make("p", {class: "small muted"}, `Version ${told.model_version}, there and back in ${milliseconds(took)}.`));
  }

  return {
    element: [make("div", {class: "card try-input"}, input.element, options.element), make("div", {class: "card"}, stage)],
    stop() {
      running?.abort();
      input.stop();
      if (address) URL.revokeObjectURL(address);
    },
  };
}
