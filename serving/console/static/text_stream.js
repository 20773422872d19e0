// A text while it is written, by the endpoints of the OpenAI API, with its pace.

import {postJson} from "./api.js";
import {eventValues} from "./event_stream.js";
import {count, figure, milliseconds} from "./format.js";

const DEFAULT_TOKENS = 200;

/**
 * Streams an answer into `write(text)`. `body`: {prompt} or {messages}. Resolves to a line about it, also where
 * `signal` ended it. Raises CallError.
 */
export async function streamText(model, body, values, write, signal) {
  const path = body.messages ? "v1/chat/completions" : "v1/completions";
  const name = model.key === model.name ? model.name : `${model.name}/${model.version}`;
  const request = {model: name, max_tokens: DEFAULT_TOKENS, ...values, ...body, stream: true, stream_options: {include_usage: true}};
  const started = performance.now();
  const gathered = perFrame(write);
  let first = 0, tokens = 0, usage = null, reason = "";
  try {
    for await (const chunk of eventValues(await postJson(path, request, {signal}))) {
      const choice = chunk.choices?.[0];
      const text = choice?.delta?.content ?? choice?.text ?? "";
      if (text) {
        first ||= performance.now();
        tokens += 1;
        gathered.add(text);
      }
      reason = choice?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    reason = "stopped";
  } finally {
    gathered.flush();
  }
  return describe({started, first, ended: performance.now(), tokens: usage?.completion_tokens ?? tokens, usage, reason});
}

/** A fast model writes many pieces between two drawings of the page: they are handed on together. */
function perFrame(write) {
  let held = "", frame = 0;
  const flush = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    if (held) write(held);
    held = "";
  };
  return {
    flush,
    add(text) {
      held += text;
      frame ||= requestAnimationFrame(flush);
    },
  };
}

function describe({started, first, ended, tokens, usage, reason}) {
  const ends = {stop: "The model ended it.", length: "It reached the limit of tokens.", stopped: "You stopped it."};
  const parts = [`${count(tokens)} tokens`];
  if (first) parts.push(`first after ${milliseconds(first - started)}`);
  if (first && tokens > 1 && ended > first) parts.push(`${figure((tokens - 1) / ((ended - first) / 1000))} tokens per second`);
  if (usage) parts.push(`${count(usage.prompt_tokens)} tokens of prompt`);
  return `${parts.join(", ")}. ${ends[reason] ?? ""}`.trim();
}
