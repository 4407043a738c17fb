// Server-sent events by fetch: EventSource cannot carry a bearer.

import { headersOf, Refusal, refusalOf } from "./session.js";

const SILENCE_MS = 45000; // three comments that did not come: the connection is dead
const PAUSES_MS = [250, 500, 1000, 2000, 4000];

/** The events of one answer, until it ends: {name, id, data}. */
async function* eventsOf(response, alive) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    const blocks = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { name: "message", id: "", data: "" };
      for (const line of block.split("\n")) {
        const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line);
        if (field === "event") event.name = text;
        else if (field === "id") event.id = text;
        else if (field === "data") event.data += (event.data ? "\n" : "") + text;
      }
      if (event.data || event.id || event.name !== "message") yield event;
    }
  }
}

/**
 * Follows `path` until `signal` aborts; comes back by itself with the id of the last event. `onEvent(name, data, id)`,
 * `onState("live" | "lost", why)`. Throws a Refusal that coming back would not change.
 */
export async function follow(path, { onEvent, onState, signal }) {
  let last = "";
  let failures = 0;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop);
    let watchdog = setTimeout(stop, SILENCE_MS);
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE_MS);
    };
    let why = "the stream ended";
    try {
      const headers = { ...headersOf(), Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
      const response = await fetch(path, { headers, signal: attempt.signal, cache: "no-store" });
      if (!response.ok) throw await refusalOf(response);
      onState("live", "");
      for await (const event of eventsOf(response, alive)) {
        failures = 0;
        if (event.id) last = event.id;
        onEvent(event.name, event.data ? JSON.parse(event.data) : null, event.id);
      }
    } catch (error) {
      if (error instanceof Refusal && error.status < 500 && error.status !== 429 && error.status !== 408) throw error;
      if (error instanceof Refusal && error.status === 501) throw error;
      why = error instanceof Refusal ? error.message : "the server does not answer";
    } finally {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", stop);
    }
    if (signal.aborted) return;
    onState("lost", why);
    const pause = PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)];
    failures += 1;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
