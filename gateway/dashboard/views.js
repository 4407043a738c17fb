// The views: a table that is searched here, and one view in full beside it.

import { $, count, h, keyed, say, seqOf } from "./dom.js";
import { get } from "./session.js";
import { Detail } from "./detail.js";

const PAGE = 200;
const READ_SECONDS = 10; // sizes and lags change without an event
const READ_SECONDS_MANY = 30;
const MANY = 2000;

export class Views {
  constructor(told) {
    this.told = told;
    this.views = [];
    this.limit = PAGE;
    this.head = 0;
    this.seenCount = null;
    this.readAt = 0;
    this.isStale = true;
    this.detail = new Detail(() => this.mark());
    $("views-text").addEventListener("input", () => this.search());
    $("views-mode").addEventListener("change", () => this.search());
    $("views-search").addEventListener("submit", (event) => event.preventDefault());
    $("views-more").addEventListener("click", () => { this.limit += PAGE; this.draw(); });
    $("views-table").addEventListener("keydown", (event) => this.key(event));
  }

  /** A sample came: read the list again if it is time, and one is looking. */
  update(sample) {
    this.head = sample.head_seq;
    if (this.seenCount !== sample.views) this.isStale = true;
    this.seenCount = sample.views;
    const age = (Date.now() - this.readAt) / 1000;
    const often = this.views.length > MANY ? READ_SECONDS_MANY : READ_SECONDS;
    if (document.hidden || this.reading || age < (this.isStale ? (this.views.length > MANY ? 5 : 1) : often)) return;
    this.read();
  }

  changed() {
    this.isStale = true;
  }

  async read() {
    this.reading = true;
    this.isStale = false;
    try {
      this.views = await get("/views");
      for (const view of this.views) view.words = [view.id, view.auth, view.surql, view.ssp_id, view.client_id].join(" ").toLowerCase();
      this.views.sort((one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0));
      this.draw();
      this.detail.refresh(this.views);
    } catch (error) {
      if (error.status !== 401 && error.status !== 0) this.told(error.message, true);
    } finally {
      this.reading = false;
      this.readAt = Date.now();
    }
  }

  search() {
    this.limit = PAGE;
    this.draw();
  }

  found() {
    const words = $("views-text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const mode = $("views-mode").value;
    return this.views.filter((view) => (!mode || (mode === "failed" ? view.state === "failed" : view.mode === mode))
      && words.every((word) => view.words.includes(word)));
  }

  draw() {
    const found = this.found();
    const total = this.views.length;
    say($("views-count"), !total ? "" : found.length === total ? count(total) : `${count(found.length)} of ${count(total)}`);
    const empty = total ? "No view is like that." : "No view is registered. Register one: spky view register ID 'SELECT …'";
    say($("views-empty"), found.length ? "" : empty);
    $("views-empty").hidden = Boolean(found.length);
    $("views-more").hidden = found.length <= this.limit;
    keyed($("views-table").tBodies[0], found.slice(0, this.limit), keyOf, (view) => this.build(view), (row, view) => this.show(row, view));
  }

  build(view) {
    const open = h("button", { type: "button", class: "link" }, view.id);
    const row = h("tr", {}, h("td", {}, open, view.auth ? h("small", {}, view.auth) : null), h("td", { class: "mode" }),
      h("td", { class: "n" }), h("td", { class: "n" }), h("td"), h("td", { class: "query", title: view.surql }, view.surql));
    open.addEventListener("click", () => this.open(row.dataset.key, open));
    return row;
  }

  show(row, view) {
    const [, mode, size, lag, ssp] = row.cells;
    mode.dataset.mode = view.state === "failed" ? "failed" : view.mode ?? "";
    const settled = view.state === "live" || view.state === "failed";
    say(mode, view.state === "failed" ? "failed" : settled ? (view.mode === "reevaluated" ? "re-evaluated" : view.mode ?? "–") : view.state ?? "waiting");
    mode.title = view.reason ?? "";
    say(size, count(view.members));
    const behind = this.head - seqOf(view.revision);
    say(lag, Number.isNaN(behind) ? "–" : count(Math.max(0, behind)));
    say(ssp, view.ssp_id || "–");
    row.setAttribute("aria-selected", String(keyOf(view) === this.detail.key));
  }

  open(key, from) {
    const view = this.views.find((each) => keyOf(each) === key);
    if (view) this.detail.open(view, from);
    this.mark();
  }

  mark() {
    for (const row of $("views-table").tBodies[0].rows) row.setAttribute("aria-selected", String(row.dataset.key === this.detail.key));
  }

  key(event) {
    const row = event.target.closest?.("tbody tr");
    const next = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
    if (!next) return;
    event.preventDefault();
    next.querySelector("button").focus();
  }
}

export function keyOf(view) {
  return `${view.id}\u0000${view.auth ?? ""}`;
}
