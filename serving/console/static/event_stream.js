// Server-sent events of a response, as the values that their data holds (WHATWG HTML, section 9.2).

/** Yields the JSON value of every event; ends at [DONE] or with the response. Raises what an event reports as error. */
export async function* eventValues(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      held += value;
      const events = held.split("\n\n");
      held = events.pop();
      for (const event of events) {
        const data = dataOf(event);
        if (data === "[DONE]") return;
        if (data) yield checked(JSON.parse(data));
      }
    }
  } finally {
    // Whoever stops listening tells the server so.
    reader.cancel().catch(() => {});
  }
}

export const dataOf = (event) => event.split("\n").filter((line) => line.startsWith("data:"))
  .map((line) => line.slice(5).trimStart()).join("\n");

function checked(value) {
  if (value.error) throw new Error(typeof value.error === "string" ? value.error : value.error.message);
  return value;
}
