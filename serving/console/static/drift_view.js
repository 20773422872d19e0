// Drift: every signal with its reference and its live histogram, most surprising first.

import {consolePath, getJson} from "./api.js";
import {empty, failure, loading, make} from "./dom.js";
import {binName, chance, count, figure, percent, words} from "./format.js";
import {histogramChart} from "./histogram_chart.js";
import {modelPicker, viewHead} from "./model_picker.js";
import {poll} from "./poller.js";

const REFRESH_MS = 10000;

export function driftView(state, key, go) {
  const model = state.find(key);
  if (!model) return {element: [viewHead("Drift", ""), empty("Nothing to compare", "No model is served.")], stop() {}};
  const body = make("div", {class: "view"}, loading("Comparing with the reference"));
  let drawn = "";

  const poller = poll(async () => {
    try {
      const drift = await getJson(consolePath(model, "drift"));
      const told = JSON.stringify(drift);
      // A drawing that somebody reads by the keyboard is not pulled away for the same figures.
      if (told !== drawn) body.replaceChildren(...drawDrift(drift, openNumbers(body)));
      drawn = told;
    } catch (error) {
      drawn = "";
      body.replaceChildren(failure(error));
      throw error;
    }
  }, REFRESH_MS);

  return {
    element: [
      viewHead("Drift", "Whether live traffic still looks like the held-out data that the model was measured on. " +
        "Every picture or prompt is sorted into the bins of the reference; what is least likely to be chance comes first.",
      modelPicker(state.models, model.key, (chosen) => go("drift", chosen))),
      body,
    ],
    stop: () => poller.stop(),
  };
}

const openNumbers = (body) => new Set([...body.querySelectorAll("details[open]")].map((one) => one.dataset.signal));

function drawDrift(drift, open) {
  if (!drift.signals.length) return [empty("No reference to compare with", "This model came without a profile of held-out data.")];
  return [summary(drift), legend(), make("div", {class: "signals"}, drift.signals.map((signal) => signalCard(signal, drift, open)))];
}

function summary(drift) {
  const drifted = drift.signals.filter((signal) => signal.verdict?.drifted);
  const seen = `${count(drift.num_images)} of the last ${count(drift.window_size)} inputs`;
  const [kind, text] = {
    drift: ["bad", `Drift: ${drifted.length === 1 ? "one signal looks" : `${drifted.length} signals look`} different from the reference.`],
    steady: ["good", "Steady: live traffic looks like the reference."],
    collecting: ["", `Collecting: ${count(drift.num_images)} of the ${count(drift.min_images)} inputs that a verdict needs.`],
  }[drift.status];
  return make("p", {class: `notice ${kind}`, role: "status"}, make("strong", {}, text),
    make("span", {class: "sub"}, `Window: ${seen}. Reference: ${count(drift.reference_images)} held-out examples. ` +
      `Alarm where chance is ${chance(drift.alpha)} or less.`));
}

const legend = () => make("ul", {class: "legend"},
  make("li", {}, make("span", {class: "key box reference"}), "reference"),
  make("li", {}, make("span", {class: "key box"}), "live"),
  make("li", {}, make("span", {class: "key box series-2"}), "live, drifted"));

function signalCard(signal, drift, open) {
  const verdict = signal.verdict;
  const state = !signal.num_images ? ["", "not seen"] : !verdict ? ["", "collecting"] : verdict.drifted ? ["bad", "drift"] : ["good", "steady"];
  return make("figure", {class: "card chart signal"},
    make("figcaption", {class: "chart-head"}, make("h3", {}, words(signal.signal)), make("span", {class: `badge ${state[0]}`}, state[1])),
    verdict && make("dl", {class: "facts"},
      figureOf("Chance", chance(verdict.adjusted_p_value)), figureOf("Distance", figure(verdict.distance)),
      figureOf("Most surprising", `${binName(verdict.bin)}: ${percent(verdict.reference_share)} → ${percent(verdict.live_share)}`, "wide")),
    histogramChart(signal), numbers(signal, open.has(signal.signal)));
}

const figureOf = (name, value, kind) => make("div", {class: kind}, make("dt", {}, name), make("dd", {}, value));

function numbers(signal, isOpen) {
  const rows = signal.bins.map((name, index) => [binName(name), percent(signal.reference[index]), percent(signal.live[index])]);
  return make("details", {"data-signal": signal.signal, open: isOpen}, make("summary", {}, "Numbers"),
    make("div", {class: "numbers"}, make("table", {},
      make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "Bin"), make("th", {scope: "col", class: "number"}, "Reference"), make("th", {scope: "col", class: "number"}, "Live"))),
      make("tbody", {}, rows.map(([name, reference, live]) => make("tr", {}, make("td", {}, name), make("td", {class: "number"}, reference), make("td", {class: "number"}, live)))))));
}
