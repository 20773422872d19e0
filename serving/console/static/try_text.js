// A prompt that goes on, or a conversation where the model knows how to talk.

import {call, consolePath} from "./api.js";
import {failure, make} from "./dom.js";
import {generationOptions} from "./generation_options.js";
import {optionFields} from "./options.js";
import {streamText} from "./text_stream.js";

const MAX_EXAMPLES = 4;

export function tryText(model) {
  const options = optionFields(generationOptions(model));
  const pane = make("div", {class: "card text-pane"});
  const modes = {continue: () => continuePane(model, options, examples), chat: () => chatPane(model, options)};
  const examples = make("div", {class: "prompts", role: "group", "aria-label": "Examples"});
  let current = {stop() {}};

  const names = model.is_chat ? [["chat", "Chat"], ["continue", "Continue a text"]] : [["continue", "Continue a text"]];
  const buttons = names.map(([mode, name]) => make("button", {type: "button", "data-mode": mode, onclick: () => choose(mode)}, name));
  function choose(mode) {
    current.stop();
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    current = modes[mode]();
    pane.replaceChildren(...current.element);
  }
  choose(names[0][0]);
  addExamples(model, examples, (text) => {
    choose("continue");
    current.fill(text);
  });
  return {
    element: [
      make("div", {class: "card try-input"}, names.length > 1 && make("div", {class: "choices", role: "group", "aria-label": "What to do"}, buttons), options.element),
      pane,
    ],
    stop: () => current.stop(),
  };
}

async function addExamples(model, holder, take) {
  for (let index = 0; index < Math.min(MAX_EXAMPLES, model.num_examples); index += 1) {
    let text;
    try {
      text = await (await call(consolePath(model, `examples/${index}`))).text();
    } catch {
      return;
    }
    const shown = text.trim().replace(/\s+/g, " ");
    holder.append(make("button", {type: "button", class: "quiet", onclick: () => take(text)}, shown.length > 40 ? `${shown.slice(0, 39)}…` : shown));
  }
}

/** The stop button and what it stops: {button, run(work)}; `work` gets a signal. */
function stoppable(start) {
  let control = null;
  const button = make("button", {type: "button", hidden: true, onclick: () => control?.abort()}, "Stop");
  return {
    button,
    stop: () => control?.abort(),
    async run(work) {
      control = new AbortController();
      button.hidden = false;
      start.disabled = true;
      try {
        await work(control.signal);
      } finally {
        button.hidden = true;
        start.disabled = false;
      }
    },
  };
}

const submitOnEnter = (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  const {form} = event.currentTarget;
  // The key asks for no more than the button: nothing while something is being written.
  if (!form.querySelector("[type=submit]").disabled) form.requestSubmit();
};

function continuePane(model, options, examples) {
  const prompt = make("textarea", {id: "prompt", rows: 4, required: true, spellcheck: "false", onkeydown: submitOnEnter});
  const start = make("button", {type: "submit", class: "main"}, "Write on");
  const output = make("div", {class: "written", "aria-live": "off", hidden: true});
  const note = make("div", {role: "status", class: "small muted"});
  const running = stoppable(start);
  const form = make("form", {
    class: "prompt-form",
    onsubmit(event) {
      event.preventDefault();
      const written = make("span", {class: "fresh", "data-streamed": ""});
      output.replaceChildren(make("span", {class: "muted"}, prompt.value), written);
      output.hidden = false;
      note.replaceChildren("Writing …");
      running.run(async (signal) => {
        try {
          note.replaceChildren(await streamText(model, {prompt: prompt.value}, options.values(), (text) => written.append(text), signal));
        } catch (error) {
          note.replaceChildren(failure(error));
        }
      });
    },
  }, make("div", {class: "field"}, make("label", {for: "prompt"}, "Prompt"), prompt), examples,
  make("div", {class: "form-actions"}, start, running.button, make("span", {class: "small muted"}, "Ctrl + Enter")));
  return {element: [form, output, note], stop: running.stop, fill(text) { prompt.value = text; prompt.focus(); }};
}

function chatPane(model, options) {
  let messages = [];
  const log = make("div", {class: "chat", role: "log", "aria-label": "Conversation"});
  const text = make("textarea", {id: "message", rows: 2, required: true, onkeydown: submitOnEnter});
  const send = make("button", {type: "submit", class: "main"}, "Send");
  const note = make("div", {role: "status", class: "small muted"});
  const running = stoppable(send);
  const clear = make("button", {type: "button", onclick: () => { running.stop(); messages = []; log.replaceChildren(); note.replaceChildren(); }}, "New conversation");

  function bubble(role, content) {
    const body = make("div", {class: "bubble-text", ...(role === "assistant" ? {"data-streamed": ""} : {})}, content);
    log.append(make("div", {class: `bubble ${role}`}, make("span", {class: "bubble-role"}, role === "user" ? "You" : model.name), body));
    log.scrollTop = log.scrollHeight;
    return body;
  }

  const form = make("form", {
    class: "prompt-form",
    onsubmit(event) {
      event.preventDefault();
      // What is being answered belongs to this conversation, also when another was begun meanwhile.
      const conversation = messages;
      conversation.push({role: "user", content: text.value});
      bubble("user", text.value);
      text.value = "";
      const body = bubble("assistant", "");
      running.run(async (signal) => {
        try {
          const write = (piece) => { body.append(piece); log.scrollTop = log.scrollHeight; };
          const told = await streamText(model, {messages: [...conversation]}, options.values(), write, signal);
          conversation.push({role: "assistant", content: body.textContent});
          if (conversation === messages) note.replaceChildren(told);
        } catch (error) {
          // What was not answered is no part of the conversation: it can be sent again, or something else.
          const {content} = conversation.pop();
          text.value ||= content;
          body.parentElement.remove();
          note.replaceChildren(failure(error));
        }
      });
    },
  }, make("div", {class: "field"}, make("label", {for: "message"}, "Message"), text),
  make("div", {class: "form-actions"}, send, running.button, clear, make("span", {class: "small muted"}, "Ctrl + Enter")));
  return {element: [log, form, note], stop: running.stop, fill(value) { text.value = value; text.focus(); }};
}
