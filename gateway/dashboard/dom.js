// Elements and figures. Text goes in as text, never as markup: what views and records hold is written by anyone.

export const $ = (id) => document.getElementById(id);

/** An element: h("p", { class: "empty", hidden: true }, "text", child, …). Functions are listeners. */
export function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "g", "rect", "circle"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts text into an element only if it is another, so that nothing is selected or read out anew for nothing. */
export function say(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Keeps one child of `parent` for each item, by key, in their order; those that stay are the same elements. */
export function keyed(parent, items, keyOf, build, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = build(item);
      child.dataset.key = key;
    }
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const left of known.values()) left.remove();
}

export function count(number) {
  if (number >= 1e9) return `${(number / 1e9).toFixed(1)} G`;
  if (number >= 1e6) return `${(number / 1e6).toFixed(number >= 1e7 ? 1 : 2)} M`;
  if (number >= 1e5) return `${(number / 1e3).toFixed(0)} k`;
  return Math.round(number).toLocaleString("en").replace(",", "\u2009");
}

/** `plural(1, "view")` is "1 view". */
export function plural(number, name) {
  return `${count(number)} ${name}${number === 1 ? "" : "s"}`;
}

export function rate(number) {
  return number > 0 && number < 9.95 && Math.abs(number - Math.round(number)) > 0.05 ? number.toFixed(1) : count(number);
}

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; number >= 1024 && unit < units.length - 1; unit += 1) number /= 1024;
  return `${number >= 100 || unit === 0 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 1) return `${seconds < 0.01 ? (seconds * 1000).toFixed(1) : Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** The seq of a revision token, NaN if there is none. */
export function seqOf(token) {
  return token ? Number(token.split(".")[3]) : NaN;
}
