// The SSPs: where in its life each one is, what it costs, how far it has come, and what an operator may do with it.

import { $, bytes, count, duration, h, keyed, plural, rate, say } from "./dom.js";
import { act } from "./session.js";

const LIFE = ["bootstrapping", "replaying", "ready"];
const MANY = 12;
const FIRST = ["stale", "bootstrapping", "replaying", "ready"];

/** By name; where there are many, those that need a look come first. */
function ordered(ssps) {
  const need = (ssp) => (ssps.length > MANY ? FIRST.indexOf(ssp.state) * 2 + (ssp.draining ? 0 : 1) : 0);
  return [...ssps].sort((one, other) => need(one) - need(other) || one.id.localeCompare(other.id, "en", { numeric: true }));
}

export class Ssps {
  /** `told(text)`: says what came of an action. */
  constructor(told) {
    this.told = told;
    this.sample = null;
  }

  update(sample) {
    this.sample = sample;
    const list = $("ssps-list");
    const ready = sample.ssps.filter((ssp) => ssp.state === "ready").length;
    say($("ssps-count"), sample.ssps.length ? `${ready} of ${sample.ssps.length} ready` : "");
    list.classList.toggle("many", sample.ssps.length > MANY);
    if (!sample.ssps.length) {
      if (!list.querySelector(".empty")) {
        list.replaceChildren(h("p", { class: "empty" }, "No SSP has joined. Start one: ", h("code", {}, "spky serve ssp")));
      }
      return;
    }
    list.querySelector(".empty")?.remove();
    keyed(list, ordered(sample.ssps), (ssp) => ssp.id, (ssp) => this.build(ssp), (child, ssp) => this.show(child, ssp));
  }

  build(ssp) {
    const fact = (name, meter = false) => h("div", {}, h("dt", {}, name), h("dd", { "data-fact": name }, "–"),
      meter ? h("meter", { min: "0", max: "1", high: "0.85", "aria-label": name }) : null);
    return h("article", { class: "member", "aria-label": `SSP ${ssp.id}` },
      h("header", {}, h("h3", { title: ssp.id }, ssp.id), h("span", { class: "buttons" },
        h("button", { type: "button", class: "quiet", "data-act": "drain", click: () => this.drain(ssp.id) }, "Drain"),
        h("button", { type: "button", class: "quiet", "data-act": "resync", click: () => this.resync(ssp.id) }, "Resync"))),
      h("ol", { class: "life", "aria-label": "Lifecycle" }, ...LIFE.map((state) => h("li", { "data-state": state }, state))),
      h("dl", { class: "facts" }, fact("views"), fact("behind"), fact("heartbeat"), fact("cpu", true), fact("memory"), fact("applied/s")));
  }

  show(child, ssp) {
    child.dataset.state = ssp.state;
    child.dataset.draining = String(ssp.draining);
    const reached = ssp.state === "stale" ? LIFE.length - 1 : LIFE.indexOf(ssp.state);
    child.querySelectorAll(".life li").forEach((step, place) => {
      step.toggleAttribute("data-past", place < reached);
      if (place === reached) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
      const last = place === LIFE.length - 1;
      say(step, last && ssp.state === "stale" ? "stale" : last && ssp.draining ? "draining" : LIFE[place]);
    });
    const facts = {
      views: ssp.views_failed ? `${count(ssp.views)}, ${count(ssp.views_failed)} failed` : count(ssp.views), behind: count(Math.max(0, this.sample.head_seq - ssp.applied_seq)),
      heartbeat: duration(ssp.last_heartbeat_seconds_ago), cpu: `${Math.round(ssp.cpu_usage * 100)} %`,
      memory: bytes(ssp.memory_usage), "applied/s": rate(ssp.applied_per_second),
    };
    for (const [name, text] of Object.entries(facts)) say(child.querySelector(`[data-fact="${name}"]`), text);
    child.querySelector("meter").value = Math.min(1, ssp.cpu_usage);
    say(child.querySelector('[data-act="drain"]'), ssp.draining ? "Undrain" : "Drain");
  }

  async drain(id) {
    const ssp = this.sample.ssps.find((each) => each.id === id);
    const undo = Boolean(ssp?.draining);
    await this.act(undo
      ? { title: `Undrain ${id}?`, text: "Views may be placed on it again.", go: "Undrain", path: `${this.path(id)}/drain?undo=1` }
      : { title: `Drain ${id}?`, text: `What it keeps, ${plural(ssp?.views ?? 0, "view")}, moves to the other SSPs one after the other and without a gap; nothing new is placed on it.`, go: "Drain", path: `${this.path(id)}/drain` },
    (answer) => (undo ? `${id} takes views again` : `${id} drains: ${plural(answer.views, "view")} left on it`));
  }

  async resync(id) {
    await this.act({ title: `Resync ${id}?`, text: "It drops its state and loads a new snapshot; meanwhile it is not ready.", go: "Resync", risk: true, path: `${this.path(id)}/resync` },
      () => `${id} loads anew`);
  }

  async act(wanted, saying) {
    try {
      const answer = await act({ method: "POST", ...wanted });
      if (answer) this.told(saying(answer));
    } catch (error) {
      this.told(error.message, true);
    }
  }

  path(id) {
    return `/admin/ssp/${encodeURIComponent(id)}`;
  }
}
