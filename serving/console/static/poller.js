// Asks again and again while the page can be seen, and at once when it is seen again.

const MAX_DELAY_MS = 15000;

/** Calls `work` every `intervalMs`, later after failures, until stopped. Returns {stop, now}. */
export function poll(work, intervalMs) {
  let timer = 0, running = false, stopped = false, failures = 0;

  async function once() {
    clearTimeout(timer);
    if (stopped || running) return;
    running = true;
    try {
      await work();
      failures = 0;
    } catch (error) {
      failures += 1;
      if (error.name !== "CallError" && error.name !== "AbortError") console.error(error);
    } finally {
      running = false;
    }
    const delay = Math.min(MAX_DELAY_MS, intervalMs * 2 ** Math.min(failures, 4));
    if (!stopped && !document.hidden) timer = setTimeout(once, failures ? Math.max(delay, intervalMs) : intervalMs);
  }

  const onVisible = () => { if (!document.hidden) once(); };
  document.addEventListener("visibilitychange", onVisible);
  once();
  return {
    now: once,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    },
  };
}
