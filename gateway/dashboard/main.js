// The page: one stream of events and figures, and the parts that show them.

import { $, say } from "./dom.js";
import { Feed, Letters } from "./feed.js";
import * as flow from "./flow.js";
import { Backends } from "./jobs.js";
import * as plots from "./plots.js";
import { askToRead, doorOpened, Refusal, wire as wireSession } from "./session.js";
import { Ssps } from "./ssps.js";
import { follow } from "./stream.js";
import { wire as wireTheme } from "./theme.js";
import { Views } from "./views.js";

let hiding = 0;

/** Says what came of something, for a while. */
function told(text, isTrouble = false) {
  const notice = $("notice");
  say(notice, text);
  notice.hidden = false;
  notice.classList.toggle("calm", !isTrouble);
  clearTimeout(hiding);
  hiding = setTimeout(() => { notice.hidden = true; }, 8000);
}

const feed = new Feed();
const letters = new Letters(told);
const ssps = new Ssps(told);
const backends = new Backends();
const views = new Views(told);

function state(name, text) {
  $("state").dataset.state = name;
  say($("state"), text);
}

function show(sample) {
  const trouble = sample.detail || sample.state !== "ready" || !sample.ssps.some((ssp) => ssp.state === "ready");
  state(trouble ? "trouble" : "live", sample.state === "cloning" ? "cloning" : trouble ? "needs a look" : "live");
  flow.update(sample);
  ssps.update(sample);
  views.update(sample);
  backends.update();
  letters.update(sample);
}

function wirePlots() {
  const drawn = [plots.throughput($("throughput")), plots.lag($("lag"))];
  return {
    replace: (samples) => drawn.forEach((plot) => plot.replace(samples)),
    add: (sample) => drawn.forEach((plot) => plot.add(sample)),
  };
}

async function askUntilGiven(why) {
  while (!(await askToRead(why))) await new Promise((resolve) => { $("token").onclick = resolve; });
}

async function run(trends) {
  const events = {
    mesh(event) {
      feed.add(event);
      if (event.kind.startsWith("view.")) views.changed();
    },
    "must-refetch"() {
      feed.clear();
      views.changed();
    },
    history: (samples) => trends.replace(samples),
    sample(sample) {
      trends.add(sample);
      show(sample);
    },
    fault: (fault) => told(fault.message, true),
  };
  if ("asks" in document.documentElement.dataset) {
    state("lost", "asks who reads");
    await askUntilGiven("");
  }
  for (;;) {
    const stop = new AbortController();
    $("token").onclick = async () => { if (await askToRead()) stop.abort(); };
    try {
      await follow("/events?samples=1", {
        signal: stop.signal,
        onEvent: (name, data) => events[name]?.(data),
        onState: (name, why) => {
          if (name === "live") doorOpened(true);
          state(name === "live" ? "live" : "lost", name === "live" ? "live" : why);
        },
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      doorOpened(false);
      state("lost", "asks who reads");
      await askUntilGiven(`${error.message}. Another token?`);
    }
    feed.clear();
  }
}

wireTheme();
wireSession();
flow.build();
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  event.preventDefault();
  $("views-text").focus();
});
run(wirePlots());
