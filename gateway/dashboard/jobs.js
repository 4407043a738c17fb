// The backends: how each is, whether it is left alone for a while, what runs, and how many jobs there are of each status.

import { $, count, duration, h, keyed, plural, say } from "./dom.js";
import { get } from "./session.js";

const EVERY_MS = 3000;
const STATUSES = ["pending", "processing", "success", "failed", "cancelled"];

export class Backends {
  constructor() {
    this.readAt = 0;
    this.isReading = false;
  }

  /** Samples come every second; /info is read every few. */
  update() {
    if (this.isReading || Date.now() - this.readAt < EVERY_MS) return;
    this.read();
  }

  async read() {
    this.isReading = true;
    try {
      this.show((await get("/info")).filter((each) => each.entity === "backend"));
    } catch {
      // the stream says what is wrong
    } finally {
      this.isReading = false;
      this.readAt = Date.now();
    }
  }

  show(backends) {
    $("jobs").hidden = $("jobs-link").hidden = !backends.length;
    const sick = backends.filter((each) => ["unhealthy", "unreachable"].includes(each.status) || each.breaker === "open").length;
    say($("jobs-count"), sick ? `${sick} of ${plural(backends.length, "backend")} in trouble` : plural(backends.length, "backend"));
    keyed($("jobs-list"), backends, (each) => each.id, (each) => this.build(each), (child, each) => this.fill(child, each));
  }

  build(backend) {
    const fact = (name) => h("div", {}, h("dt", {}, name), h("dd", { "data-fact": name }, "–"));
    const jobs = backend.table ? [...STATUSES, "running", "breaker"].map(fact) : [];
    return h("article", { class: "member", "aria-label": `Backend ${backend.id}` },
      h("header", {}, h("h3", { title: backend.url }, backend.id)),
      h("dl", { class: "facts" }, fact("health"), ...jobs),
      h("p", { class: "trouble", hidden: true }));
  }

  fill(child, backend) {
    const put = (name, text) => {
      const place = child.querySelector(`[data-fact="${name}"]`);
      if (place) say(place, text);
    };
    put("health", backend.status);
    for (const status of STATUSES) put(status, count(backend.jobs?.[status] ?? 0));
    put("running", count(backend.running ?? 0));
    put("breaker", backend.breaker ?? "nobody runs it");
    const said = backend.last_error ? `${duration(backend.last_error_seconds_ago)} ago: ${backend.last_error}` : backend.detail || "";
    const trouble = child.querySelector(".trouble");
    say(trouble, said);
    trouble.hidden = !said;
  }
}
