// Dead letters, and what happens in the mesh, newest first.

import { $, clock, count, h, keyed, say } from "./dom.js";
import { act, askForAdmin, readAsAdmin, Refusal } from "./session.js";

const KEPT = 500;

export class Feed {
  constructor() {
    this.events = [];
    $("events-kind").addEventListener("change", () => this.draw());
  }

  add(event) {
    this.events.unshift(event);
    if (this.events.length > KEPT) this.events.pop();
    if (!this.drawing) this.drawing = requestAnimationFrame(() => this.draw());
  }

  clear() {
    this.events = [];
    this.draw();
  }

  draw() {
    this.drawing = 0;
    const kind = $("events-kind").value;
    const fits = (event) => !kind || (kind === "trouble" ? event.trouble : event.kind.startsWith(`${kind}.`));
    const shown = this.events.filter(fits).slice(0, 200);
    keyed($("events-list"), shown, (event) => event.id, (event) => h("li", { "data-trouble": String(event.trouble) },
      h("time", { datetime: new Date(event.at_ms).toISOString() }, clock(event.at_ms)),
      h("span", { class: "kind" }, event.kind), h("span", { class: "text" }, event.text)), () => {});
  }
}

export class Letters {
  /** `told(text, isTrouble)`. */
  constructor(told) {
    this.told = told;
    this.total = null;
    this.shown = null; // letters, once they were read
  }

  update(sample) {
    if (sample.dead_letters === this.total) return;
    this.total = sample.dead_letters;
    say($("letters-count"), this.total ? count(this.total) : "");
    this.read();
  }

  async read() {
    if (!this.total) return this.draw(h("p", { class: "empty" }, "None. What cannot be applied is passed over and kept here."));
    try {
      this.shown = (await readAsAdmin("/dead-letters?limit=100")).dead_letters;
      this.list();
    } catch (error) {
      const closed = error instanceof Refusal && (error.status === 401 || error.status === 403);
      this.draw(h("p", { class: "empty" }, closed ? `${count(this.total)} kept. Only an admin reads them. ` : error.message,
        closed ? h("button", { type: "button", class: "quiet", click: async () => (await askForAdmin()) && this.read() }, "Read as admin") : null));
    }
  }

  list() {
    const all = (go, method, tail, text, risk) => h("button", {
      type: "button", class: "quiet", click: () => this.act(`${go} every dead letter?`, go, method, `/dead-letters/all${tail}`, text, risk),
    }, `${go} all`);
    this.draw(h("div", { class: "search" },
      all("Retry", "POST", "/retry", "Their records are read from SurrealDB again.", false),
      all("Drop", "DELETE", "", "They are forgotten; the replica stays as it is.", true)),
    ...this.shown.map((letter) => this.letter(letter)));
  }

  letter(letter) {
    const what = letter.records.join(", ") || letter.tables.join(", ") || "a change";
    const path = `/dead-letters/${letter.id}`;
    return h("article", { class: "letter", "aria-label": `Dead letter ${letter.id}` },
      h("h3", {}, `${letter.id} · ${what}`), h("p", {}, `${letter.reason} · ${letter.source}, ${clock(letter.at_ms)}, ${letter.attempts} ${letter.attempts === 1 ? "attempt" : "attempts"}`),
      h("span", { class: "buttons" },
        h("button", { type: "button", class: "quiet", click: () => this.act(`Retry dead letter ${letter.id}?`, "Retry", "POST", `${path}/retry`, "Its records are read from SurrealDB again.", false) }, "Retry"),
        h("button", { type: "button", class: "quiet", click: () => this.act(`Drop dead letter ${letter.id}?`, "Drop", "DELETE", path, "It is forgotten; the replica stays as it is.", true) }, "Drop")));
  }

  async act(title, go, method, path, text, risk) {
    try {
      const answer = await act({ title, text, go, risk, method, path });
      if (!answer) return;
      this.told(go === "Drop" ? `${answer.dropped} dropped` : `${answer.applied} applied, ${answer.failed} failed again`, answer.failed > 0);
      this.total = null; // the next sample reads again
    } catch (error) {
      this.told(error.message, true);
    }
  }

  draw(...children) {
    $("letters-list").replaceChildren(...children);
  }
}
