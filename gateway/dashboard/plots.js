// Two plots of the last 15 minutes, drawn here: lines over time with a cursor that mouse and arrow keys move.

import { clock, duration, h, rate } from "./dom.js";
import { sum } from "./flow.js";

const SPAN_MS = 15 * 60 * 1000;
const STEP_MS = 5000;
const PAD = { left: 54, right: 8, top: 8, bottom: 20 }; // at 16 px, and grows with the type

/** Round steps for an axis from 0 to about `most`. */
export function ticksTo(most, floor) {
  const top = Math.max(most, floor);
  const raw = top / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw);
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, place) => place * step);
}

export class Plot {
  /** `lines`: [{name, of(sample) → number | undefined}]. */
  constructor(figure, { title, lines, format, floor, nothing = "" }) {
    Object.assign(this, { figure, title, lines, format, floor, nothing });
    this.points = [];
    this.pad = PAD;
    this.cursor = null;
    this.keys = lines.map((line, place) => h("b", {}));
    this.when = h("small");
    this.svg = h("svg", { tabindex: "0", role: "img", "aria-label": title, keydown: (event) => this.key(event) });
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.moveTo(null));
    this.svg.addEventListener("blur", () => this.moveTo(null));
    figure.append(h("figcaption", {}, h("strong", {}, title, " ", this.when),
      ...lines.map((line, place) => h("span", { class: `key c${place + 1}` }, h("span", {}, line.name), this.keys[place]))), this.svg);
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  replace(samples) {
    this.points = samples.map((sample) => this.valued(sample));
    this.draw();
  }

  add(sample) {
    const point = this.valued(sample);
    const last = this.points.at(-1);
    if (last && point.at - last.since < STEP_MS - 500) {
      Object.assign(last, { at: point.at, values: point.values });
    } else this.points.push(point);
    while (this.points.length && this.points[0].at < point.at - SPAN_MS) this.points.shift();
    this.draw();
  }

  valued(sample) {
    return { at: sample.at_ms, since: sample.at_ms, values: this.lines.map((line) => line.of(sample)) };
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -1e6, End: 1e6 };
    if (event.key === "Escape") this.moveTo(null);
    else if (event.key in steps && this.points.length) {
      event.preventDefault();
      const from = this.cursor ?? this.points.length - 1;
      this.moveTo(Math.min(this.points.length - 1, Math.max(0, from + steps[event.key])));
    }
  }

  point(event) {
    if (!this.points.length) return;
    const box = this.svg.getBoundingClientRect();
    const at = this.from + ((event.clientX - box.left - this.pad.left) / (box.width - this.pad.left - this.pad.right)) * SPAN_MS;
    let nearest = 0;
    this.points.forEach((each, place) => {
      if (Math.abs(each.at - at) < Math.abs(this.points[nearest].at - at)) nearest = place;
    });
    this.moveTo(nearest);
  }

  moveTo(place) {
    this.cursor = place;
    this.draw();
  }

  draw() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width) return;
    const scale = Math.max(1, parseFloat(getComputedStyle(document.documentElement).fontSize) / 16);
    this.pad = Object.fromEntries(Object.entries(PAD).map(([side, pixels]) => [side, pixels * scale]));
    const now = this.points.at(-1)?.at ?? Date.now();
    this.from = now - SPAN_MS;
    const most = Math.max(0, ...this.points.flatMap((each) => each.values.filter((value) => value !== undefined)));
    const ticks = ticksTo(most, this.floor);
    const x = (at) => this.pad.left + ((at - this.from) / SPAN_MS) * (width - this.pad.left - this.pad.right);
    const y = (value) => height - this.pad.bottom - (value / ticks.at(-1)) * (height - this.pad.top - this.pad.bottom);
    const drawn = ticks.flatMap((tick) => [
      h("line", { class: tick ? "grid" : "grid base", x1: this.pad.left, x2: width - this.pad.right, y1: y(tick), y2: y(tick) }),
      h("text", { x: this.pad.left - 8, y: y(tick) + 4, "text-anchor": "end" }, this.format(tick)),
    ]);
    for (const minutes of [15, 10, 5, 0]) {
      const anchor = minutes === 15 ? "start" : minutes === 0 ? "end" : "middle";
      drawn.push(h("text", { x: x(now - minutes * 60000), y: height - 4, "text-anchor": anchor }, minutes ? `−${minutes} min` : "now"));
    }
    this.lines.forEach((line, place) => drawn.push(...this.line(place, x, y)));
    const shown = this.cursor === null ? this.points.at(-1) : this.points[Math.min(this.cursor, this.points.length - 1)];
    if (this.cursor !== null && shown) {
      drawn.push(h("line", { class: "cross", x1: x(shown.at), x2: x(shown.at), y1: this.pad.top, y2: height - this.pad.bottom }));
      shown.values.forEach((value, place) => {
        if (value !== undefined) drawn.push(h("circle", { class: `c${place + 1}`, cx: x(shown.at), cy: y(value), r: 3, fill: "currentcolor" }));
      });
    }
    if (!this.points.some((each) => each.values.some((value) => value !== undefined))) {
      drawn.push(h("text", { x: this.pad.left + (width - this.pad.left - this.pad.right) / 2, y: height / 2, "text-anchor": "middle" }, this.points.length ? this.nothing : "waiting for figures"));
    }
    this.svg.replaceChildren(...drawn);
    this.keys.forEach((key, place) => {
      const value = shown?.values[place];
      key.textContent = value === undefined ? "–" : this.format(value);
    });
    this.when.textContent = this.cursor !== null && shown ? clock(shown.at) : "";
    const said = this.lines.map((line, place) => `${line.name} ${this.keys[place].textContent}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}${shown ? `, ${clock(shown.at)}: ${said}` : ": no figures yet"}`);
  }

  /** A gap of more than three steps is a gap in the line. */
  line(place, x, y) {
    const parts = [];
    let before = null;
    for (const point of this.points) {
      const value = point.values[place];
      if (value === undefined) { before = null; continue; }
      if (before === null || point.at - before > 3 * STEP_MS + 1000) parts.push([]);
      parts.at(-1).push(`${x(point.at).toFixed(1)},${y(value).toFixed(1)}`);
      before = point.at;
    }
    const d = parts.map((part) => `M${part.join("L")}`).join("");
    const areas = place ? "" : parts.map((part) => {
      const [first, last] = [part[0], part.at(-1)].map((each) => each.split(",")[0]);
      return `M${first},${y(0)}L${part.join("L")}L${last},${y(0)}Z`;
    }).join("");
    return [...(areas ? [h("path", { class: "area c1", d: areas })] : []), h("path", { class: `c${place + 1}`, d })];
  }
}

const readyOf = (sample) => sample.ssps.filter((ssp) => ssp.state === "ready");

export function throughput(figure) {
  return new Plot(figure, {
    title: "Throughput", floor: 3, format: (value) => rate(value),
    lines: [
      { name: "appended/s", of: (sample) => sample.appended_per_second },
      { name: "applied/s each", of: (sample) => (readyOf(sample).length ? sum(readyOf(sample), "applied_per_second") / readyOf(sample).length : undefined) },
      { name: "edges/s", of: (sample) => sum(sample.ssps, "edges_per_second") },
    ],
  });
}

export function lag(figure) {
  return new Plot(figure, {
    title: "End-to-end lag", floor: 0.03, nothing: "no write of the lag probe has gone all the way yet", format: (value) => duration(value),
    lines: [
      { name: "to the edge", of: (sample) => sample.lag?.written_seconds },
      { name: "to the SSP", of: (sample) => sample.lag?.applied_seconds },
      { name: "to the log", of: (sample) => sample.lag?.captured_seconds },
    ],
  });
}
