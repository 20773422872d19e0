// A caption while it is written.

import {call, endpoint} from "./api.js";
import {make} from "./dom.js";
import {eventValues} from "./event_stream.js";
import {figure} from "./format.js";

/** Fills `answer` piece by piece; its stop button ends it. Raises CallError. */
export async function streamCaption(model, picture, values, answer, control) {
  const text = make("p", {class: "caption", "data-streamed": ""});
  const stop = make("button", {type: "button", onclick: () => control.abort()}, "Stop");
  const note = make("p", {class: "small muted"});
  const query = new URLSearchParams({...values, stream: "true"});
  const response = await call(`${endpoint(model)}?${query}`, {
    method: "POST", body: picture, headers: {"Content-Type": picture.type || "application/octet-stream"}, signal: control.signal,
  });
  answer.replaceChildren(make("h3", {}, "Caption"), text, stop, note);
  try {
    for await (const event of eventValues(response)) {
      if (event.text) text.append(event.text);
      if (event.predictions) {
        const best = event.predictions[0].captions[0];
        text.textContent = best.text;
        note.textContent = `${best.num_tokens} tokens, score ${figure(best.score)} (mean log-probability), version ${event.model_version}.`;
      }
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    note.textContent = "Stopped.";
  } finally {
    stop.remove();
  }
}
