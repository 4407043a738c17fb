// Light, dark, or as the system is. Remembered for this browser: it says nothing of the mesh.

import { $, say } from "./dom.js";

const ORDER = ["", "light", "dark"];
const NAMES = { "": "Auto", light: "Light", dark: "Dark" };
const KEY = "spky-theme";

function kept() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function show(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  say($("theme"), NAMES[theme]);
  $("theme").setAttribute("aria-label", `Theme: ${theme || "as the system"}`);
}

export function wire() {
  let theme = ORDER.includes(kept()) ? kept() : "";
  show(theme);
  $("theme").addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    show(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // without storage it lasts as long as the page
    }
  });
}
