// Two histograms over each other: what the reference looked like, and what live traffic looks like.

import {make, svg} from "./dom.js";
import {binName, edgeText, percent, RANGE} from "./format.js";

const LEFT = 40, RIGHT = 6, TOP = 8;
const MAX_BARS = 24;

/** `signal`: as /console/api/models/{name}/drift has it. Returns an element that draws itself. */
export function histogramChart(signal) {
  const bars = chosenBins(signal);
  const tip = make("div", {class: "tip", hidden: true});
  const picture = svg("svg", {"aria-hidden": "true"});
  const plot = make("div", {
    class: `plot${signal.verdict?.drifted ? " drifted" : ""}`, tabindex: "0", role: "img",
    "aria-label": `Histograms of ${signal.signal}: ${bars.length} bins; use the arrow keys to read them`,
  }, picture, tip);
  let cursor = null;

  function draw() {
    const width = plot.clientWidth, height = plot.clientHeight;
    if (!width) return;
    const slot = (width - LEFT - RIGHT) / bars.length;
    const isTurned = bars.some((bar) => bar.label.length * 6.6 > slot);
    const bottom = isTurned ? 52 : 22;
    const top = Math.max(0.01, ...bars.map((bar) => Math.max(bar.reference, bar.live))) * 1.08;
    const y = (share) => TOP + (height - TOP - bottom) * (1 - share / top);
    picture.replaceChildren(...scale(top, y, width));
    bars.forEach((_, index) => picture.append(...drawBar(bars, index, {slot, y, height, bottom, isTurned, kind: signal.kind})));
    bars.forEach((bar, index) => picture.append(svg("rect", {
      class: "hit", x: LEFT + slot * index, y: 0, width: slot, height, onpointermove: () => point(index),
    })));
    showTip(slot, width);
  }

  function point(index) {
    cursor = index;
    const width = plot.clientWidth;
    showTip((width - LEFT - RIGHT) / bars.length, width);
  }

  function showTip(slot, width) {
    const bar = cursor === null ? null : bars[cursor];
    tip.hidden = !bar;
    if (!bar) return;
    tip.replaceChildren(make("b", {}, binName(bar.name)), make("div", {}, `reference ${percent(bar.reference)}`), make("div", {}, `live ${percent(bar.live)}`));
    const middle = LEFT + slot * (cursor + 0.5);
    tip.style.left = `${Math.max(0, Math.min(width - tip.offsetWidth, middle - tip.offsetWidth / 2))}px`;
  }

  plot.addEventListener("pointerleave", () => { cursor = null; showTip(0, 0); });
  plot.addEventListener("blur", () => { cursor = null; showTip(0, 0); });
  plot.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step) return;
    event.preventDefault();
    point(Math.max(0, Math.min(bars.length - 1, (cursor ?? (step > 0 ? -1 : bars.length)) + step)));
  });
  new ResizeObserver(draw).observe(plot);
  return plot;
}

/** All bins in order; of very many the ones that differ most, and the rest as one. "other" only where it is used. */
export function chosenBins(signal) {
  const all = signal.bins.map((name, index) => ({name, label: label(name), reference: signal.reference[index], live: signal.live[index]}))
    .filter((bar) => bar.name !== "other" || bar.reference > 0 || bar.live > 0);
  if (all.length <= MAX_BARS) return all;
  const difference = (bar) => Math.abs(bar.live - bar.reference);
  const kept = new Set([...all].sort((a, b) => difference(b) - difference(a)).slice(0, MAX_BARS - 1));
  const rest = all.filter((bar) => !kept.has(bar));
  const sum = (name) => rest.reduce((total, bar) => total + bar[name], 0);
  return [...all.filter((bar) => kept.has(bar)),
    {name: `${rest.length} more`, label: `${rest.length} more`, reference: sum("reference"), live: sum("live")}];
}

/** "0.123456 to 0.2345" → "0.123": the lower edge, short. */
function label(name) {
  const range = RANGE.exec(name);
  if (!range || (!range[1] && !range[3])) return name.length > 11 ? `${name.slice(0, 10)}…` : name;
  const edge = edgeText(range[2]);
  return range[1] === "below" ? `<${edge}` : range[1] === "from" ? `≥${edge}` : edge;
}

function scale(top, y, width) {
  const drawn = [];
  for (const share of [0, top / 2.16, top / 1.08]) {
    drawn.push(svg("line", {class: share ? "grid" : "axis", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share)}),
      svg("text", {x: LEFT - 6, y: y(share) + 4, "text-anchor": "end"}, `${+(share * 100).toPrecision(2)}%`));
  }
  return drawn;
}

/** Neighbours whose names are alike when they are short share one. */
function drawBar(bars, index, {slot, y, height, bottom, isTurned, kind}) {
  const bar = bars[index];
  const gap = kind === "scalar" ? 1 : Math.max(2, slot * 0.16);
  const left = LEFT + slot * index + gap / 2, width = Math.max(1, slot - gap), middle = left + width / 2;
  const inset = Math.min(width * 0.14, 6);
  const base = height - bottom;
  const text = isTurned
    ? {x: middle, y: base + 14, "text-anchor": "end", transform: `rotate(-45 ${middle} ${base + 14})`}
    : {x: middle, y: base + 15, "text-anchor": "middle"};
  return [
    svg("rect", {class: "reference", x: left, y: y(bar.reference), width, height: Math.max(0, base - y(bar.reference))}),
    svg("rect", {class: "live", x: left + inset, y: y(bar.live), width: Math.max(1, width - 2 * inset), height: Math.max(0, base - y(bar.live))}),
    svg("text", text, bar.label === bars[index - 1]?.label ? "" : bar.label),
  ];
}
