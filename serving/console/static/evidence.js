// The evidence of every variant of a model: what it was measured to be, and the gates that it passed.

import {make, table} from "./dom.js";
import {bytes, count, figure, metric, milliseconds, percent, points, signed, words} from "./format.js";

export function evidence(model) {
  const rows = model.variants.map((variant) => [
    nameCell(model, variant),
    metricCell(variant),
    bytes(variant.num_bytes),
    latencyCell(variant),
    worstCell(variant),
    gatesCell(variant),
  ]);
  const columns = [["Variant"], [words(model.variants[0].metric), "number"], ["Size", "number"], [generates(model) ? "Latency of a step" : "Latency", "number"], ["Worst class"], ["Gates"]];
  return make("div", {class: "evidence"}, table(`Evidence of ${model.key}`, columns, rows),
    make("details", {}, make("summary", {}, "Gates and classes in full"), make("div", {class: "evidence-full"}, model.variants.map(inFull))));
}

const generates = (model) => ["text_generation", "captioning"].includes(model.kind);

const nameCell = (model, variant) => [make("strong", {}, variant.name), " ",
  variant.name === model.variant && make("span", {class: "badge accent"}, "serving"),
  make("span", {class: "sub"}, `${variant.precision} on ${variant.provider.toUpperCase()}`)];

function metricCell(variant) {
  const shown = metric(variant.value, variant.better);
  if (variant.trained === null) return shown;
  const change = variant.better === "higher"
    ? `${points(variant.value - variant.trained)} pt` : signed(variant.value - variant.trained, 3);
  return [shown, make("span", {class: "sub"}, `${change} vs trained`)];
}

function latencyCell(variant) {
  const [first, ...more] = Object.entries(variant.latency_ms).sort(([a], [b]) => a - b);
  if (!first) return "–";
  const last = more.at(-1);
  return [milliseconds(first[1]), last && make("span", {class: "sub"}, `batch of ${last[0]}: ${milliseconds(last[1])}`)];
}

function worstCell(variant) {
  const worst = variant.worst[0];
  if (!worst) return make("span", {class: "muted"}, "no classes");
  return [worst.label, make("span", {class: "sub"}, `${percent(worst.variant)}, ${points(worst.variant - worst.trained)} pt`)];
}

function gatesCell(variant) {
  const held = variant.gates.filter((gate) => gate.passed).length;
  return make("span", {class: `badge ${variant.passed ? "good" : "bad"}`}, `${held} of ${variant.gates.length} held`);
}

function inFull(variant) {
  const gates = variant.gates.map((gate) => [
    [words(gate.name), gate.detail && make("span", {class: "sub"}, gate.detail)], figure(gate.value), figure(gate.limit),
    make("span", {class: `badge ${gate.passed ? "good" : "bad"}`}, gate.passed ? "held" : "failed")]);
  const classes = variant.worst.map((one) => [one.label, String(one.support), percent(one.trained), percent(one.variant),
    `${points(one.difference_low)} … ${points(one.difference_high)}`]);
  return make("section", {"aria-label": variant.name}, make("h4", {}, `${variant.name}, measured on ${count(variant.num_examples)} held-out examples`),
    table(`Gates of ${variant.name}`, [["Gate"], ["Measured", "number"], ["Limit", "number"], ["Verdict"]], gates),
    classes.length > 0 && make("div", {class: "classes"},
      table(`Classes of ${variant.name}`, [[`Class (worst ${classes.length} of ${variant.num_classes})`], ["Examples", "number"],
        ["Trained", "number"], ["Variant", "number"], ["Change, 95 %", "number"]], classes)));
}
