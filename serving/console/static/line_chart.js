// Lines over time: axes with units, a legend with the newest values, a cursor for mouse, finger and arrow keys.

import {make, svg} from "./dom.js";

const LEFT = 48, RIGHT = 12, TOP = 10, BOTTOM = 24, NUM_STEPS = 4;
const TIME = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit", second: "2-digit"});
const SHORT = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit"});

/**
 * `series`: [{name, value(point) → number or null}], at most three. `format`: a value as text, with its unit;
 * `least`: between two grid lines, 1 for what is counted.
 * Returns {element, update(points, windowMs, now)}.
 */
export function lineChart({title, unit, series, format, least = 0.001}) {
  const legend = make("ul", {class: "legend"});
  const tip = make("div", {class: "tip", hidden: true});
  const picture = svg("svg", {"aria-hidden": "true"});
  const plot = make("div", {class: "plot", tabindex: "0", role: "img", "aria-label": title}, picture, tip);
  const element = make("figure", {class: "card chart"},
    make("figcaption", {class: "chart-head"}, make("h3", {}, title, " ", make("span", {class: "unit"}, unit)), legend), plot);
  let shown = {points: [], windowMs: 60000, now: Date.now()}, cursor = null;

  function draw() {
    const {points, windowMs, now} = shown;
    const width = plot.clientWidth, height = plot.clientHeight;
    if (!width) return;
    const step = niceStep(Math.max(0, ...points.flatMap((point) => series.map((one) => one.value(point) ?? 0))), least);
    const top = NUM_STEPS * step;
    const x = (time) => LEFT + (width - LEFT - RIGHT) * (1 - (now - time) / windowMs);
    const y = (value) => TOP + (height - TOP - BOTTOM) * (1 - value / top);
    picture.replaceChildren(...axes(x, y, {step, width, height, windowMs, now}),
      ...series.flatMap((one, index) => lines(points, one, index, x, y)));
    if (!points.some((point) => series.some((one) => one.value(point) !== null))) {
      picture.append(svg("text", {class: "nothing", x: LEFT + (width - LEFT - RIGHT) / 2, y: height / 2, "text-anchor": "middle"},
        points.length ? "no requests in this time" : "waiting for the second reading"));
    }
    legend.replaceChildren(...series.map((one, index) => make("li", {},
      make("span", {class: `key series-${index + 1}`}), one.name, " ", make("strong", {}, latest(points, one)))));
    plot.setAttribute("aria-label", `${title}. ${series.map((one) => `${one.name}: ${latest(points, one)}`).join(", ")}`);
    drawCursor(x, y, width);
  }

  const latest = (points, one) => {
    const value = points.length ? one.value(points.at(-1)) : null;
    return value === null ? "–" : format(value);
  };

  function drawCursor(x, y, width) {
    const point = cursor === null ? null : shown.points[cursor];
    tip.hidden = !point;
    if (!point) return;
    picture.append(svg("line", {class: "cursor", x1: x(point.to), x2: x(point.to), y1: TOP, y2: plot.clientHeight - BOTTOM}));
    series.forEach((one, index) => {
      const value = one.value(point);
      if (value !== null) picture.append(svg("circle", {class: `dot series-${index + 1}`, cx: x(point.to), cy: y(value), r: 4}));
    });
    tip.replaceChildren(make("b", {}, TIME.format(point.to)), ...series.map((one) => {
      const value = one.value(point);
      return make("div", {}, `${one.name}: ${value === null ? "–" : format(value)}`);
    }));
    const left = x(point.to) + 12;
    tip.style.left = `${left + tip.offsetWidth > width ? Math.max(0, x(point.to) - tip.offsetWidth - 12) : left}px`;
  }

  function nearest(event) {
    const {points, windowMs, now} = shown;
    const at = event.clientX - plot.getBoundingClientRect().left;
    const time = now - windowMs * (1 - (at - LEFT) / (plot.clientWidth - LEFT - RIGHT));
    return points.length ? points.reduce((best, point, index) =>
      Math.abs(point.to - time) < Math.abs(points[best].to - time) ? index : best, 0) : null;
  }

  const move = (to) => { cursor = to; draw(); };
  plot.addEventListener("pointermove", (event) => move(nearest(event)));
  plot.addEventListener("pointerleave", () => move(null));
  plot.addEventListener("blur", () => move(null));
  plot.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step || !shown.points.length) return;
    event.preventDefault();
    const last = shown.points.length - 1;
    move(Math.max(0, Math.min(last, (cursor ?? last + 1) + step)));
  });
  new ResizeObserver(draw).observe(plot);
  return {
    element,
    update(points, windowMs, now) {
      const held = cursor === null ? null : shown.points[cursor];
      shown = {points: points.filter((point) => point.to >= now - windowMs), windowMs, now};
      cursor = held && shown.points.includes(held) ? shown.points.indexOf(held) : null;
      draw();
    },
  };
}

/**
 * The distance of grid lines, 1, 2, 2.5 or 5 times a power of ten and at least `least`, so that a value fits below the last.
 * Where nothing was seen the axis goes to 1.
 */
export function niceStep(value, least) {
  const wanted = Math.max(value ? 1.05 * value / NUM_STEPS : 1 / NUM_STEPS, least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= wanted * 0.999 && (least < 1 || Number.isInteger(one)));
}

function axes(x, y, {step: distance, width, height, windowMs, now}) {
  const drawn = [];
  for (let step = 0; step <= NUM_STEPS; step += 1) {
    const value = distance * step;
    drawn.push(svg("line", {class: step ? "grid" : "axis", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value)}),
      svg("text", {x: LEFT - 8, y: y(value) + 4, "text-anchor": "end"}, tick(value)));
  }
  const stepMs = windowMs / 5 >= 60000 ? 60000 * Math.ceil(windowMs / 5 / 60000) : windowMs / 4;
  const format = stepMs >= 60000 ? SHORT : TIME;
  for (let time = Math.ceil((now - windowMs) / stepMs) * stepMs; time <= now; time += stepMs) {
    const at = x(time);
    if (at > LEFT + 24 && at < width - 28) drawn.push(svg("text", {x: at, y: height - 6, "text-anchor": "middle"}, format.format(time)));
  }
  return drawn;
}

const tick = (value) => value >= 1000 ? `${+(value / 1000).toPrecision(3)}k` : String(+value.toPrecision(3));

/** A line, interrupted where there is no value; level across a stretch that nobody looked at. */
function lines(points, one, index, x, y) {
  let path = "", area = "", isOpen = false, firstX = 0, lastX = 0;
  const close = () => { if (isOpen) area += `L${lastX} ${y(0)}L${firstX} ${y(0)}Z`; };
  for (const point of points) {
    const value = one.value(point);
    if (value === null) { close(); isOpen = false; continue; }
    const isLong = point.to - point.from > 6000;
    const steps = isOpen && !isLong ? [[point.to, value]] : [[point.from, value], [point.to, value]];
    for (const [time, level] of steps) {
      const at = Math.max(LEFT, x(time)).toFixed(1);
      const piece = `${isOpen ? "L" : "M"}${at} ${y(level).toFixed(1)}`;
      path += piece;
      area += piece;
      if (!isOpen) firstX = at;
      lastX = at;
      isOpen = true;
    }
  }
  close();
  if (!path) return [];
  return [index === 0 && svg("path", {class: "area", d: area}), svg("path", {class: `line series-${index + 1}`, d: path})].filter(Boolean);
}
