// The server as seen from the page: one way to ask, one form of error.

const KEY = "tidegate-key";
const UNREACHABLE = "The server can not be reached. If it is being restarted, this page goes on by itself when it is back.";

/** What a call failed with. `status`: of HTTP, 0 where there was no answer. */
export class CallError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "CallError";
    this.status = status;
  }
}

/** The key or token that calls carry; kept for this tab alone. */
export const credential = {
  get: () => sessionStorage.getItem(KEY) || "",
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  },
};

/** Announces a call that was refused for want of a key. */
export const refusals = new EventTarget();

/** The response to a request, if it is a 2xx. Raises CallError with what the server said, or AbortError. */
export async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  if (credential.get()) headers.set("Authorization", `Bearer ${credential.get()}`);
  let response;
  try {
    response = await fetch(path, {...options, headers});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError(UNREACHABLE, 0);
  }
  if (response.ok) return response;
  const error = new CallError(await said(response), response.status);
  if (response.status === 401) refusals.dispatchEvent(new Event("unauthenticated"));
  throw error;
}

async function said(response) {
  const text = await response.text();
  try {
    const told = JSON.parse(text).error;
    return typeof told === "string" ? told : told.message;
  } catch {
    return `The server answered with ${response.status}${text ? `: ${text.slice(0, 300)}` : ""}.`;
  }
}

export const getJson = async (path, options) => (await call(path, options)).json();

export const postJson = async (path, value, options = {}) =>
  call(path, {...options, method: "POST", body: JSON.stringify(value), headers: {"Content-Type": "application/json"}});

/** Path of a model's own endpoint. `model`: as /console/api/models describes it. */
export function endpoint(model) {
  const version = model.key === model.name ? "" : `/versions/${encodeURIComponent(model.version)}`;
  return `v1/models/${encodeURIComponent(model.name)}${version}/${model.verb}`;
}

/** Path of what the console's API has of one model. */
export function consolePath(model, what) {
  const version = model.key === model.name ? "" : `?version=${encodeURIComponent(model.version)}`;
  return `console/api/models/${encodeURIComponent(model.name)}/${what}${version}`;
}
