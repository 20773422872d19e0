// The row of tabs: one of them is in the order of Tab, arrows go to the others (WAI-ARIA, "Tabs").

const STEPS = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity};

/** `choose(view)` is called when somebody picks one; the returned function marks one as picked. */
export function startTabs(list, choose) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  for (const tab of tabs) tab.addEventListener("click", () => choose(tab.dataset.view));
  list.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const here = tabs.indexOf(document.activeElement);
    const next = Number.isFinite(step) ? (here + step + tabs.length) % tabs.length : step < 0 ? 0 : tabs.length - 1;
    tabs[next].focus();
    choose(tabs[next].dataset.view);
  });
  return (view) => {
    for (const tab of tabs) {
      const isChosen = tab.dataset.view === view;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
    }
  };
}
