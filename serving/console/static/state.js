// What all views share: the models, the drift verdicts in a line each, the live series, and who is asking.

import {CallError, getJson} from "./api.js";
import {LiveSeries} from "./live_series.js";
import {poll} from "./poller.js";

const MODELS_MS = 5000, LIVE_MS = 2000, DRIFT_MS = 10000;

/** Events: "models", "live", "drift", "connection", "session". */
export class State extends EventTarget {
  models = null;
  server = null;
  drift = {};
  series = new LiveSeries();
  session = {name: "", is_admin: false};
  /** Why the server's answers do not come, or null. */
  trouble = null;

  start() {
    this.pollers = [
      poll(() => this.#load("models", async () => {
        const answer = await getJson("console/api/models");
        this.models = answer.models;
        this.server = answer.server;
      }), MODELS_MS),
      poll(() => this.#load("live", async () => this.series.add(await getJson("console/api/live"), Date.now())), LIVE_MS),
      poll(() => this.#load("drift", async () => { this.drift = await getJson("console/api/drift"); }), DRIFT_MS),
    ];
    return this.refreshSession();
  }

  /** Ask for everything now, as after a change of the key. */
  refresh() {
    for (const poller of this.pollers) poller.now();
    return this.refreshSession();
  }

  async refreshSession() {
    try {
      this.session = await getJson("console/api/session");
    } catch {
      this.session = {name: "", is_admin: false};
    }
    this.#tell("session");
  }

  /** The model that a key leads to, the first one where it leads nowhere. */
  find(key) {
    return (this.models || []).find((model) => model.key === key) || (this.models || [])[0] || null;
  }

  async #load(what, work) {
    try {
      await work();
    } catch (error) {
      if (error instanceof CallError) {
        this.trouble = error;
        this.#tell("connection");
      }
      throw error;
    }
    if (this.trouble) {
      this.trouble = null;
      this.#tell("connection");
    }
    this.#tell(what);
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
