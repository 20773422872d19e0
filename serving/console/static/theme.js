// Light, dark, or as the system has it.

const KEY = "tidegate-theme";
const ORDER = ["auto", "light", "dark"];
const NAMES = {auto: "as the system", light: "light", dark: "dark"};
const SIGNS = {auto: "◐", light: "☀", dark: "☾"};

export function startTheme(button) {
  let chosen = ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto";
  const show = () => {
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    button.textContent = SIGNS[chosen];
    button.setAttribute("aria-label", `Theme: ${NAMES[chosen]}`);
    button.title = `Theme: ${NAMES[chosen]}`;
  };
  button.addEventListener("click", () => {
    chosen = ORDER[(ORDER.indexOf(chosen) + 1) % ORDER.length];
    localStorage.setItem(KEY, chosen);
    show();
  });
  show();
}
