// The way of a change: SurrealDB → capture → log → SSPs → edges → clients, each with its rate, and the lag between.

import { $, count, duration, h, plural, rate, say } from "./dom.js";

const STAGES = ["SurrealDB", "Capture", "Log", "SSPs", "Edges", "Clients"];
const parts = new Map();

export function build() {
  $("stages").append(...STAGES.map((name, place) => {
    const figure = h("span");
    const unit = h("small");
    const about = h("p");
    figure.textContent = "–";
    const hop = h("span", { class: "hop", hidden: true });
    const stage = h("li", { class: "stage", "data-mood": "idle" }, h("span", { class: "pulse", "aria-hidden": "true" }), h("h3", {}, name),
      h("div", { class: "figure" }, figure, unit), about, place < STAGES.length - 1 ? hop : null);
    parts.set(name, { stage, figure, unit, about, hop });
    return stage;
  }));
}

function show(name, { mood = "good", figure, unit, about, trouble = false, hop = "", force = 0 }) {
  const part = parts.get(name);
  part.stage.dataset.mood = mood;
  say(part.figure, figure);
  say(part.unit, unit);
  say(part.about, about);
  part.about.className = trouble ? "trouble" : "";
  say(part.hop, hop);
  part.hop.hidden = !hop;
  part.stage.style.setProperty("--force", force > 0 ? Math.min(1, 0.35 + Math.log10(1 + force) / 5).toFixed(2) : "0");
  part.stage.style.setProperty("--pace", `${Math.max(0.9, 3.2 - Math.log10(1 + force) / 2).toFixed(1)}s`);
}

export function sum(list, name) {
  return list.reduce((total, each) => total + each[name], 0);
}

const gap = (from, to) => (to > from ? `+${duration(to - from)}` : duration(0));

export function update(sample) {
  const ready = sample.ssps.filter((ssp) => ssp.state === "ready");
  const applied = ready.length ? sum(ready, "applied_per_second") / ready.length : 0;
  const edges = sum(sample.ssps, "edges_per_second");
  const behind = Math.max(0, ...ready.map((ssp) => sample.head_seq - ssp.applied_seq));
  const unwritten = Math.max(0, ...ready.map((ssp) => ssp.applied_seq - ssp.written_seq));
  const lag = sample.lag;
  const captures = sample.captures;

  show("SurrealDB", {
    mood: !captures ? "idle" : sample.detail ? "bad" : "good",
    figure: captures ? count(sample.rows) : "–", unit: captures ? "rows" : "",
    about: !captures ? "none: changes come by /ingest" : sample.detail || "connected", trouble: Boolean(sample.detail),
    force: sample.captured_per_second,
  });
  show("Capture", {
    mood: !captures ? "idle" : sample.detail ? "bad" : sample.state === "cloning" ? "warn" : "good",
    figure: rate(sample.captured_per_second), unit: "changes/s",
    about: sample.state === "cloning" ? "cloning: every table is compared" : captures ? "follows the changefeed" : "off",
    hop: captures && lag ? `+${duration(lag.captured_seconds)}` : "", force: sample.captured_per_second,
  });
  show("Log", {
    mood: sample.queued_changes > 5000 ? "warn" : "good",
    figure: rate(sample.appended_per_second), unit: "appended/s",
    about: `head ${count(sample.head_seq)}${sample.queued_changes ? `, ${count(sample.queued_changes)} queued` : ""}`,
    hop: lag ? gap(lag.captured_seconds, lag.applied_seconds) : "", force: sample.appended_per_second,
  });
  show("SSPs", {
    mood: !sample.ssps.length ? "idle" : ready.length === sample.ssps.length ? "good" : ready.length ? "warn" : "bad",
    figure: rate(applied), unit: "applied/s each",
    about: sample.ssps.length ? `${ready.length} of ${sample.ssps.length} ready${behind ? `, up to ${count(behind)} behind` : ""}` : "none has joined",
    hop: lag ? gap(lag.applied_seconds, lag.written_seconds) : "", force: applied,
  });
  show("Edges", {
    mood: !sample.ssps.length ? "idle" : "good", figure: rate(edges), unit: "written/s",
    about: !ready.length ? "nobody writes" : unwritten ? `up to ${count(unwritten)} entries not written` : "all written",
    force: edges,
  });
  show("Clients", {
    mood: sample.views ? "good" : "idle", figure: count(sample.views), unit: sample.views === 1 ? "view" : "views",
    about: sample.streams === undefined ? "" : `${plural(sample.streams, "stream")} at this server`,
  });
}
