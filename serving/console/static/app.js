// The page: which view is shown, for which model, and whether the server answers.

import {failure, loading, make} from "./dom.js";
import {driftView} from "./drift_view.js";
import {liveView} from "./live_view.js";
import {modelsView} from "./models_view.js";
import {promotionsView} from "./promotions_view.js";
import {signInFirst, startSignIn, takeTokenFromAddress} from "./sign_in.js";
import {State} from "./state.js";
import {startTabs} from "./tabs.js";
import {startTheme} from "./theme.js";
import {tryView} from "./try_view.js";

const VIEWS = {models: modelsView, live: liveView, drift: driftView, try: tryView, promotions: promotionsView};
const NAMES = {models: "Models", live: "Live", drift: "Drift", try: "Try it", promotions: "Promotions"};

takeTokenFromAddress();
const state = new State();
const panel = document.getElementById("panel");
const markTab = startTabs(document.querySelector('[role="tablist"]'), (view) => go(view, address().key));
let shown = {view: "", key: "", element: null, stop: () => {}};
let waitingFor = null;

/** #/view/key; whatever else stands there means the first view. */
function address() {
  const [, view, ...key] = location.hash.split("/");
  try {
    if (Object.hasOwn(VIEWS, view)) return {view, key: decodeURIComponent(key.join("/"))};
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  return {view: "models", key: ""};
}

function go(view, key = "") {
  location.hash = `#/${view}${key ? `/${encodeURIComponent(key)}` : ""}`;
}

function show() {
  const {view, key} = address();
  markTab(view);
  document.title = `${NAMES[view]} · Tidegate`;
  if (!state.models || (shown.view === view && shown.key === key)) return;
  shown.stop();
  panel.setAttribute("aria-labelledby", `tab-${view}`);
  const made = VIEWS[view](state, key, go), focused = panel.contains(document.activeElement) ? document.activeElement.id : null;
  shown = {view, key, ...made};
  panel.replaceChildren(make("div", {class: `view view-${view}`}, made.element));
  if (focused !== null) (document.getElementById(focused) || document.getElementById("main")).focus({preventScroll: true});
}

function showServer() {
  const status = document.getElementById("server-status");
  const ready = (state.models || []).filter((model) => model.state === "READY").length;
  const known = (state.models || []).length;
  const [kind, text] = state.trouble
    ? describeTrouble(state.trouble.status)
    : !state.models ? ["", "connecting …"]
      : [ready === known ? "good" : "warn", known ? `${ready} of ${known} ready` : "no models"];
  if (status.textContent !== text) status.textContent = text;
  status.className = `status ${kind}`;
  if (!state.models) showWaiting();
}

function describeTrouble(status) {
  if (status === 401) return ["warn", "not signed in"];
  return ["bad", status ? `refused (${status})` : "not reachable"];
}

/** Drawn again only where it says something else: a button in it keeps the focus. */
function showWaiting() {
  const {trouble} = state, why = trouble ? trouble.message : "";
  if (why === waitingFor) return;
  waitingFor = why;
  if (!trouble) panel.replaceChildren(loading("Asking the server"));
  else panel.replaceChildren(trouble.status === 401 ? signInFirst(state) : failure(trouble));
}

startTheme(document.getElementById("theme"));
startSignIn(document.getElementById("sign-in"), state);
state.addEventListener("connection", showServer);
state.addEventListener("models", () => { showServer(); show(); });
window.addEventListener("hashchange", show);
showServer();
markTab(address().view);
state.start();
