// One view: what it is, how its query is kept, why a record is in it, and what has changed in it lately.

import { $, clock, count, h, say, seqOf } from "./dom.js";
import { get, post, Refusal } from "./session.js";
import { follow } from "./stream.js";
import { keyOf } from "./views.js";

const DELTAS = 100;

export class Detail {
  /** `closed()`: it was closed, or shows another view. */
  constructor(closed) {
    this.closed = closed;
    this.box = $("view");
    this.key = "";
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  open(view, from) {
    this.stop?.abort();
    Object.assign(this, { key: keyOf(view), view, from, stop: new AbortController() });
    const query = view.auth ? `?auth=${encodeURIComponent(view.auth)}` : "";
    this.path = (tail) => `/view/${encodeURIComponent(view.id)}${tail}${query}`;
    this.state = h("dl", { class: "facts" });
    this.deltas = h("ol", { class: "deltas", tabindex: "0", "aria-label": "Recent changes" });
    this.said = h("p", { class: "empty" });
    this.stages = h("div", {}, h("p", { class: "empty" }, "explaining …"));
    this.box.replaceChildren(
      h("header", {}, h("h3", { id: "view-title" }, view.id, view.auth ? h("small", {}, ` of ${view.auth}`) : null),
        h("button", { type: "button", class: "quiet", click: () => this.close() }, "Close")),
      this.state,
      h("h4", {}, "Query"), h("pre", {}, view.surql),
      h("h4", {}, "Recent changes"), this.said, this.deltas,
      h("h4", {}, "Why is a record in it, or not?"), this.why(),
      h("h4", {}, "How it is kept"), this.stages);
    this.box.hidden = false;
    this.box.focus();
    this.refresh([view]);
    this.explain(view);
    this.watch(this.stop.signal);
  }

  close() {
    this.stop?.abort();
    this.key = "";
    this.box.hidden = true;
    this.box.replaceChildren();
    this.closed();
    this.from?.focus();
  }

  refresh(views) {
    const view = this.key && views.find((each) => keyOf(each) === this.key);
    if (!view) return;
    const facts = {
      state: view.state ?? "waiting", mode: view.mode ?? "–", size: count(view.members), SSP: view.ssp_id || "–",
      revision: count(seqOf(view.revision) || 0), "time to live": view.ttl_ms ? `${Math.round(view.ttl_ms / 1000)} s` : "for ever",
    };
    this.state.replaceChildren(...Object.entries(facts).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))),
      ...(view.reason ? [h("div", {}, h("dt", {}, "because"), h("dd", { class: "mono", title: view.reason }, view.reason))] : []));
  }

  async explain(view) {
    try {
      const answer = await post("/view/explain", { surql: view.surql, ...(view.auth ? { auth: view.auth } : {}) });
      if (this.view !== view) return;
      const stage = (name, text, open = false) => h("details", { open }, h("summary", {}, name), h("pre", {}, text));
      const parts = answer.stages.filter((each) => each.text).map((each) => stage(each.name, each.text, each.name === "plan"));
      const nearest = answer.nearest ? [stage("a query close by that is kept better", `${answer.nearest.surql}\n\n${answer.nearest.change}`, true)] : [];
      this.stages.replaceChildren(h("p", { class: "empty" }, `${answer.mode === "incremental" ? "incremental" : `re-evaluated: ${answer.reason}`}, reads ${answer.tables.join(", ") || "every table"}`),
        stage("shape", answer.shape || "it shares with none", true), ...nearest, ...parts);
    } catch (error) {
      if (this.view === view) this.stages.replaceChildren(h("p", { class: "empty" }, error.message));
    }
  }

  why() {
    const input = h("input", { type: "text", placeholder: "person:1", "aria-label": "Record id", autocomplete: "off", spellcheck: "false" });
    const answer = h("div", { role: "status" });
    const form = h("form", { class: "row", submit: async (event) => {
      event.preventDefault();
      const record = input.value.trim();
      if (!record) return;
      try {
        const said = await get(this.path("/why") + (this.path("").includes("?") ? "&" : "?") + `record=${encodeURIComponent(record)}`);
        const terms = said.terms.map((term) => h("li", {}, `${term.holds ? "holds" : "FAILS"}  ${term.text}`,
          (term.values ?? []).map((value) => `  ${value.text} = ${value.value}`).join("")));
        answer.replaceChildren(h("p", {}, said.sentence), h("ul", { class: "mono" }, ...terms));
      } catch (error) {
        answer.replaceChildren(h("p", { class: "empty" }, error.message));
      }
    } }, input, h("button", { type: "submit", class: "quiet" }, "Why?"));
    return h("div", {}, form, answer);
  }

  async watch(signal) {
    say(this.said, "following …");
    try {
      await follow(this.path("/events"), {
        signal,
        onState: (state, why) => { if (state === "lost") say(this.said, `${why}; asking again`); },
        onEvent: (name, data) => this.told(name, data),
      });
    } catch (error) {
      if (signal.aborted) return;
      say(this.said, error instanceof Refusal && error.status === 501 ? "This server does not stream views." : error.message);
    }
  }

  told(name, data) {
    if (name === "snapshot") say(this.said, `whole at revision ${count(seqOf(data.revision) || 0)}, ${count(data.members?.length ?? 0)} members`);
    else if (name === "up-to-date") say(this.said, `current as of ${clock(Date.now())}`);
    else if (name === "must-refetch") say(this.said, "what was missed is kept no more: read anew");
    else if (name === "fault") say(this.said, data.message);
    else if (name === "delta") {
      for (const op of ["removed", "added", "updated"]) {
        for (const each of data[op] ?? []) this.delta(op, each.id ?? each.member?.id ?? String(each));
      }
    }
  }

  delta(op, id) {
    const now = Date.now();
    this.deltas.prepend(h("li", {}, h("time", { datetime: new Date(now).toISOString() }, clock(now)), h("span", { "data-op": op }, op), h("code", {}, id)));
    while (this.deltas.children.length > DELTAS) this.deltas.lastElementChild.remove();
  }
}
