// Live: throughput, latency, batches and queue of one model, from the moment the page was opened.

import {empty, make} from "./dom.js";
import {figure, milliseconds} from "./format.js";
import {lineChart} from "./line_chart.js";
import {modelPicker, viewHead} from "./model_picker.js";

const WINDOWS = [["1 min", 60000], ["5 min", 300000], ["15 min", 900000]];
const perSecond = (value) => `${figure(value)} /s`;
const plain = (value) => figure(value);
const take = (name) => (point) => point[name] ?? null;

export function liveView(state, key, go) {
  const model = state.find(key);
  if (!model) return {element: [viewHead("Live", ""), empty("Nothing to watch", "No model is served.")], stop() {}};
  const generates = ["text_generation", "captioning"].includes(model.kind);
  const charts = [...common(), ...(generates ? generation() : [batch()]), queue(generates)];
  let windowMs = WINDOWS[0][1];

  const buttons = WINDOWS.map(([name, length]) => make("button", {
    type: "button", "aria-pressed": String(length === windowMs),
    onclick(event) {
      windowMs = length;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      update();
    },
  }, name));

  function update() {
    const points = state.series.points.get(model.key) || [];
    for (const chart of charts) chart.update(points, windowMs, Date.now());
  }

  state.addEventListener("live", update);
  requestAnimationFrame(update);
  return {
    element: [
      viewHead("Live", "What this server process does right now, read every two seconds. Readings go on while the page is open; " +
        "what happens while its tab sleeps is in the next one.",
      modelPicker(state.models, model.key, (chosen) => go("live", chosen)),
      make("div", {class: "choices", role: "group", "aria-label": "Time shown"}, buttons)),
      make("div", {class: "charts"}, charts.map((chart) => chart.element)),
    ],
    stop: () => state.removeEventListener("live", update),
  };
}

const common = () => [
  lineChart({
    title: "Throughput", unit: "requests per second", format: perSecond,
    series: [{name: "answered", value: take("answered")}, {name: "failed", value: take("failed")}, {name: "refused", value: take("refused")}],
  }),
  lineChart({
    title: "Latency", unit: "milliseconds, of the last 10 s", format: milliseconds,
    series: [{name: "p50", value: take("p50")}, {name: "p95", value: take("p95")}, {name: "p99", value: take("p99")}],
  }),
];

const batch = () => lineChart({
  title: "Batch size", unit: "items per run of the model", format: plain,
  series: [{name: "mean", value: take("batch")}],
});

const generation = () => [
  lineChart({
    title: "Tokens", unit: "per second", format: perSecond,
    series: [{name: "written", value: take("tokens")}, {name: "read", value: take("promptTokens")}],
  }),
  lineChart({
    title: "Time to first token", unit: "milliseconds, of the last 10 s", format: milliseconds,
    series: [{name: "p50", value: take("first50")}, {name: "p95", value: take("first95")}],
  }),
  lineChart({
    title: "Batch size", unit: "answers written at once", format: plain, least: 1,
    series: [{name: "running", value: take("running")}],
  }),
];

const queue = (generates) => lineChart({
  title: "Queue", unit: generates ? "requests" : "items and requests", format: plain, least: 1,
  series: [{name: generates ? "waiting for a slot" : "waiting", value: take("waiting")}, {name: "in flight", value: take("inFlight")}],
});
