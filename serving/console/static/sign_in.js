// Who is asking: a key, or the administrator's token, kept for this tab.

import {credential, refusals} from "./api.js";
import {ask} from "./dialog.js";
import {make} from "./dom.js";

const NEEDED = "This server answers those who have a key.";

/** Takes a token from the address (`#token=…`), which never leaves the browser, and removes it there. */
export function takeTokenFromAddress() {
  const found = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!found) return;
  credential.set(decodeURIComponent(found[1]));
  history.replaceState(null, "", location.pathname + location.search);
}

export function startSignIn(button, state) {
  const show = () => {
    const {name, is_admin: isAdmin} = state.session;
    if (!credential.get()) button.replaceChildren("Sign in");
    else if (!isAdmin && !name) button.replaceChildren("Key not known");
    else button.replaceChildren(make("span", {class: "where-wide"}, "Signed in as "), isAdmin ? "admin" : name);
  };
  button.addEventListener("click", () => askForKey(state));
  state.addEventListener("session", show);
  // Asked for once by itself: who closes the dialog knows where the button is.
  refusals.addEventListener("unauthenticated", () => {
    if (!document.getElementById("dialog").open) askForKey(state, NEEDED);
  }, {once: true});
  show();
}

/** What stands in the place of a view that needs a key first. */
export const signInFirst = (state) => make("div", {class: "empty"}, make("strong", {}, NEEDED), "Sign in with yours to go on.",
  make("p", {}, make("button", {type: "button", class: "main", onclick: () => askForKey(state)}, "Sign in")));

/** `why`: what the key is needed for. */
export function askForKey(state, why = "") {
  const input = make("input", {type: "password", id: "key", autocomplete: "off", spellcheck: "false", value: credential.get()});
  ask("Sign in", [
    make("p", {class: "muted"}, why, why && " ", "The key is kept until this tab is closed. Rolling back needs an admin key, or the token " +
      "that the server was started with."),
    make("div", {class: "field"}, make("label", {for: "key"}, "API key or admin token"), input),
  ], {
    label: "Sign in",
    kind: "main",
    async work() {
      const before = credential.get();
      credential.set(input.value.trim());
      await state.refresh();
      if (input.value.trim() && !state.session.is_admin && !state.session.name) {
        credential.set(before);
        await state.refresh();
        throw new Error("This server does not know that key. Was it copied whole? Whoever runs the server makes new ones.");
      }
    },
  });
}
