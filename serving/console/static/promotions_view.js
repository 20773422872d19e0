// Promotions: which version held which alias when, who moved it and on what evidence; and the way back.

import {getJson, postJson} from "./api.js";
import {ask} from "./dialog.js";
import {empty, failure, loading, make, table} from "./dom.js";
import {figure, moment, words} from "./format.js";
import {modelPicker, viewHead} from "./model_picker.js";
import {poll} from "./poller.js";
import {askForKey} from "./sign_in.js";

const REFRESH_MS = 15000;

export function promotionsView(state, key, go) {
  const ours = (state.models || []).filter((model) => !model.is_upstream);
  const model = ours.find((one) => one.key === key) || ours[0];
  if (!model) return {element: [viewHead("Promotions", ""), empty("Nothing was promoted", "No model of a registry is served.")], stop() {}};
  const path = `console/api/models/${encodeURIComponent(model.name)}`;
  const body = make("div", {class: "view"}, loading("Reading the registry"));
  let drawn = "";

  const poller = poll(async () => {
    try {
      const promotions = await getJson(`${path}/promotions`);
      const told = JSON.stringify([promotions, state.session, served()]);
      if (told !== drawn) body.replaceChildren(...draw(promotions));
      drawn = told;
    } catch (error) {
      drawn = "";
      body.replaceChildren(failure(error));
      throw error;
    }
  }, REFRESH_MS);

  const served = () => state.models.find((one) => one.key === model.key)?.version ?? "";
  const refresh = () => poller.now();
  state.addEventListener("session", refresh);
  state.addEventListener("models", refresh);

  function draw(promotions) {
    return [
      rollbackCard(promotions, served(), state, () => confirmRollback(promotions, path, state, poller)),
      history(promotions),
      versions(promotions, served()),
    ];
  }

  return {
    element: [
      viewHead("Promotions", "Production follows an alias of the registry. Who moved it, when, from where to where, and on what evidence is kept here.",
        modelPicker(ours, model.key, (chosen) => go("promotions", chosen))),
      body,
    ],
    stop() {
      poller.stop();
      state.removeEventListener("session", refresh);
      state.removeEventListener("models", refresh);
    },
  };
}

function rollbackCard(promotions, served, state, confirm) {
  const {undo} = promotions;
  const button = make("button", {
    type: "button", class: "danger", disabled: !undo,
    onclick: () => (state.session.is_admin ? confirm() : askForKey(state, "Rolling back is for administrators.")),
  }, "Roll back …");
  const champion = promotions.versions.find((version) => version.aliases.includes("champion"));
  const isBehind = champion && served && champion.version !== served;
  return make("div", {class: "card champion"},
    make("div", {}, make("h3", {}, champion ? `Version ${champion.version} is champion` : "No version is champion"),
      make("p", {class: "muted"}, isBehind ? `This server still answers with version ${served}, and follows within ${state.server.poll_interval_s} s.` :
        served ? `This server answers with version ${served}.` : "This server does not answer with this model now."),
      !undo && make("p", {class: "small muted"}, `Nothing to roll back to: ${promotions.undo_refused}`)), button);
}

function confirmRollback(promotions, path, state, poller) {
  const {current, target} = promotions.undo;
  const wait = `${state.server.poll_interval_s} s`;
  const what = target
    ? [make("p", {}, make("strong", {}, `${promotions.name}: version ${current} → version ${target.version}`)),
      make("ul", {class: "consequences"},
        make("li", {}, `The alias champion moves back to version ${target.version}, registered ${moment(target.created_at)} (digest ${target.digest.slice(0, 12)}).`),
        make("li", {}, `Every server that follows the champion loads it, proves it on its golden inputs and changes over, this one within ${wait}. Requests that are being answered are not cut off.`),
        make("li", {}, `Version ${current} stays in the registry and can be promoted again. This step is recorded under your name.`))]
    : [make("p", {}, make("strong", {}, `${promotions.name}: version ${current} → no champion`)),
      make("ul", {class: "consequences"},
        make("li", {}, "This was the first promotion: undoing it takes the alias away and gives it to nobody."),
        make("li", {}, "Servers that run go on with what they have. Those that start afterwards find no champion and do not serve the model."))];
  ask("Roll back?", what, {
    label: target ? `Roll back to version ${target.version}` : "Take the alias away",
    kind: "danger",
    async work() {
      await postJson(`${path}/rollback`, {expected: current});
      await poller.now();
      state.refresh();
    },
  });
}

function history(promotions) {
  if (!promotions.events.length) return make("section", {}, make("h3", {}, "History"), empty("No promotion is recorded", "Aliases that were set by hand leave no trace here."));
  const interrupted = new Set(promotions.interrupted);
  return make("section", {class: "history"}, make("h3", {}, "History"),
    make("ol", {class: "timeline"}, promotions.events.map((event) => entry(event, interrupted.has(event.id)))));
}

function entry(event, isInterrupted) {
  const held = event.gates.filter((gate) => gate.passed).length;
  const gates = event.gates.map((gate) => [[words(gate.name), gate.detail && make("span", {class: "sub"}, gate.detail)], figure(gate.value), figure(gate.limit),
    make("span", {class: `badge ${gate.passed ? "good" : "bad"}`}, gate.passed ? "held" : "failed")]);
  const move = `${event.previous ? `version ${event.previous}` : "nobody"} → ${event.version ? `version ${event.version}` : "nobody"}`;
  return make("li", {class: `card ${event.action}`},
    make("div", {class: "entry-head"},
      make("span", {class: `badge ${event.action === "promote" ? "accent" : "warn"}`}, event.action === "promote" ? "promoted" : "rolled back"),
      make("strong", {}, `${event.alias}: ${move}`),
      make("span", {class: "muted small"}, `${moment(event.at)} by ${event.who}`)),
    isInterrupted && make("p", {class: "notice warn small"}, "Interrupted before the alias moved: it had no effect."),
    event.force_reason && make("p", {class: "notice warn small"}, `Failed gates were overruled: ${event.force_reason}`),
    event.gates.length > 0 && make("details", {}, make("summary", {}, `${held} of ${event.gates.length} gates held`),
      table("Gates", [["Gate"], ["Measured", "number"], ["Limit", "number"], ["Verdict"]], gates)));
}

function versions(promotions, served) {
  const rows = promotions.versions.map((version) => [
    [make("strong", {}, version.version), " ", version.aliases.map((alias) => [make("span", {class: "badge accent"}, alias), " "]),
      version.version === served && make("span", {class: "badge good"}, "served here")],
    moment(version.created_at), make("code", {}, version.digest.slice(0, 12))]);
  return make("section", {}, make("h3", {}, "Versions"), make("div", {class: "card"}, table("Versions", [["Version"], ["Registered"], ["Digest"]], rows)));
}
