// The one dialog: the browser's own, which keeps the focus inside and gives it back.

import {failure, make} from "./dom.js";

const element = () => document.getElementById("dialog");

/**
 * Asks something. `body`: elements between title and buttons; `confirm`: {label, kind, work}. `work` may raise, which
 * is shown, and the dialog stays.
 */
export function ask(title, body, confirm) {
  const dialog = element();
  const trouble = make("div", {});
  const button = make("button", {type: "submit", class: confirm.kind}, confirm.label);
  const form = make("form", {
    method: "dialog",
    async onsubmit(event) {
      event.preventDefault();
      button.disabled = true;
      try {
        await confirm.work();
        dialog.close();
        keepFocus(dialog);
      } catch (error) {
        trouble.replaceChildren(failure(error));
      } finally {
        button.disabled = false;
      }
    },
  },
  make("h2", {id: "dialog-title"}, title), ...body, trouble,
  make("div", {class: "dialog-actions"}, make("button", {type: "button", onclick: () => dialog.close()}, "Cancel"), button));
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
}

/** What had the focus before may be gone by what was done; then it goes to the page's content. */
function keepFocus(dialog) {
  const has = document.activeElement;
  if (has === document.body || dialog.contains(has)) document.getElementById("main").focus({preventScroll: true});
}
