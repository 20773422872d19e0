// Models: what is served, how it does, and why it may be trusted.

import {empty, make} from "./dom.js";
import {evidence} from "./evidence.js";
import {figure, metric, milliseconds, moment, words} from "./format.js";
import {viewHead} from "./model_picker.js";

const STATES = {READY: "good", LOADING: "warn", UNLOADING: "warn", UNAVAILABLE: "bad"};

export function modelsView(state, key, go) {
  const list = make("div", {class: "models"});
  const cards = new Map();
  let drawn = "";

  function draw() {
    const told = JSON.stringify(state.models);
    if (told !== drawn) {
      drawn = told;
      cards.clear();
      for (const model of state.models) cards.set(model.key, modelCard(model, go));
      list.replaceChildren(...(cards.size ? [...cards.values()].map((card) => card.element) : [NOTHING()]));
    }
    update();
  }

  function update() {
    for (const [name, card] of cards) card.update(state.series.last(name), state.drift[name]);
  }

  state.addEventListener("models", draw);
  state.addEventListener("live", update);
  state.addEventListener("drift", update);
  draw();
  return {
    element: [
      viewHead("Models", "What this server answers with, how it is doing, and the evidence that each variant carries: " +
        "measured on held-out data when the model was exported."),
      list,
    ],
    stop() {
      state.removeEventListener("models", draw);
      state.removeEventListener("live", update);
      state.removeEventListener("drift", update);
    },
  };
}

const NOTHING = () => empty("No model is served yet", [
  "Promote one, and the server finds it by itself: ", make("code", {}, "tidegate promote NAME"), "."]);

/** {element, update(point, drift)} of one model. */
function modelCard(model, go) {
  const dynamic = make("dl", {class: "facts"});
  const element = make("article", {class: "card model", "aria-labelledby": `model-${model.key}`},
    make("div", {class: "model-head"},
      make("div", {class: "model-title"},
        make("h3", {id: `model-${model.key}`}, model.key),
        model.kind && make("span", {class: "badge"}, words(model.kind)),
        make("span", {class: `status ${STATES[model.state] || ""}`}, model.state.toLowerCase())),
      model.state === "READY" && make("div", {class: "model-links"},
        make("button", {type: "button", class: "main", onclick: () => go("try", model.key)}, "Try it"),
        make("button", {type: "button", onclick: () => go("live", model.key)}, "Live"),
        make("button", {type: "button", onclick: () => go("drift", model.key)}, "Drift"),
        !model.is_upstream && make("button", {type: "button", onclick: () => go("promotions", model.key)}, "Promotions"))),
    model.reason && make("p", {class: `notice ${model.state === "READY" ? "warn" : "bad"}`}, model.reason),
    model.fallbacks.length > 0 && make("p", {class: "notice warn"}, `Runs without a built engine: ${model.fallbacks.join("; ")}`),
    dynamic,
    model.variants.length > 0 && evidence(model),
    model.digest && lineage(model));
  return {element, update: (point, drift) => dynamic.replaceChildren(...facts(model), ...liveFacts(point, drift))};
}

const fact = (name, value, note) => make("div", {}, make("dt", {}, name),
  make("dd", {}, value, note && make("span", {class: "sub"}, note)));

function facts(model) {
  const serving = model.variants.find((variant) => variant.name === model.variant);
  if (!serving) return [fact("Version", model.version || "–", model.is_upstream && "on another server")];
  return [
    fact("Version", model.version),
    fact("Variant", serving.name),
    fact(words(serving.metric), metric(serving.value, serving.better)),
  ];
}

function liveFacts(point, drift) {
  return [
    fact("Requests", point ? `${figure(point.answered + point.failed)} /s` : "–", point?.failed ? `${figure(point.failed)} /s failed` : ""),
    fact("Latency p95", point && point.p95 !== null ? milliseconds(point.p95) : "–"),
    fact("In flight", point ? String(point.inFlight) : "–"),
    fact("Drift", driftBadge(drift)),
  ];
}

/** The verdict in a word. */
export function driftBadge(drift) {
  if (!drift) return "–";
  if (drift.status === "collecting") {
    return make("span", {class: "badge"}, `collecting ${Math.floor(drift.num_images)} of ${Math.floor(drift.min_images)}`);
  }
  return drift.status === "drift"
    ? make("span", {class: "badge bad"}, `drift: ${drift.drifted.slice(0, 2).map((name) => words(name).toLowerCase()).join(", ")}${drift.drifted.length > 2 ? ` and ${drift.drifted.length - 2} more` : ""}`)
    : make("span", {class: "badge good"}, "steady");
}

function lineage(model) {
  const row = (name, value) => value && make("div", {}, make("dt", {}, name), make("dd", {class: "mono"}, value));
  return make("details", {}, make("summary", {}, "Where it came from"),
    make("dl", {class: "lineage"}, row("Source", model.source), row("Exported", moment(model.created_at)), row("Package", model.digest),
      row("Commit", model.git_commit), row("Run", model.run_id)));
}
