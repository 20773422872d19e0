// Classes with bars.

import {make} from "./dom.js";
import {figure, percent} from "./format.js";

export function showLabels(prediction) {
  const rows = prediction.classes.map((one) => {
    const bar = make("span", {class: "bar"});
    bar.style.width = `${Math.max(0.4, one.score * 100)}%`;
    return make("li", {}, make("span", {class: "label-name"}, one.label), make("span", {class: "bar-track"}, bar), make("span", {class: "number"}, percent(one.score)));
  });
  return [make("h3", {}, "Labels"), make("ol", {class: "labels"}, rows),
    make("p", {class: "small muted"}, `Entropy ${figure(prediction.entropy)} nats: 0 is certain.`)];
}
