// Who reads and who acts. Tokens live in these two variables and nowhere else: no storage, no cookie, no address.

import { $, say } from "./dom.js";

const tokens = { reader: "", admin: "" };

export class Refusal extends Error {
  constructor(status, message, hint) {
    super(hint ? `${message} (${hint})` : message);
    this.status = status;
  }
}

export async function refusalOf(response) {
  try {
    const said = await response.json();
    return new Refusal(response.status, said.message, said.hint);
  } catch {
    return new Refusal(response.status, `the server answers ${response.status}`, "");
  }
}

export function headersOf(token = tokens.reader) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function call(method, path, token, body) {
  const headers = { ...headersOf(token), ...(body ? { "Content-Type": "application/json" } : {}) };
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Refusal(0, "the server does not answer", "");
  }
  if (!response.ok) throw await refusalOf(response);
  return response.json();
}

export const get = (path) => call("GET", path, tokens.reader);
export const post = (path, body) => call("POST", path, tokens.reader, body);
export const readAsAdmin = (path) => call("GET", path, tokens.admin || tokens.reader);
export const hasAdmin = () => Boolean(tokens.admin);

const isDoor = (error) => error instanceof Refusal && (error.status === 401 || error.status === 403);

/** Asks in the dialog; the token that was typed ("" if none was asked for), null if it was cancelled. */
function ask({ title, text, go, risk = false, token = false }) {
  const dialog = $("ask");
  say($("ask-title"), title);
  say($("ask-text"), text);
  say($("ask-go"), go);
  $("ask-go").classList.toggle("risk", risk);
  $("ask-field").hidden = $("ask-hint").hidden = !token;
  $("ask-token").value = "";
  const before = document.activeElement;
  dialog.returnValue = "";
  dialog.showModal();
  (token ? $("ask-token") : $("ask-go")).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const answer = dialog.returnValue === "go" ? $("ask-token").value.trim() : null;
      $("ask-token").value = "";
      before?.focus?.();
      resolve(answer);
    }, { once: true });
  });
}

export function wire() {
  $("ask").querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    $("ask").close("go");
  });
  $("ask-cancel").addEventListener("click", () => $("ask").close(""));
}

/** The token to read with; whether one was given. */
export async function askToRead(why = "") {
  const text = why || "This mesh asks who reads it: a client's token shows everything, an admin's may also act.";
  const given = await ask({ title: "Who reads?", text, go: "Read", token: true });
  if (given === null) return false;
  tokens.reader = given;
  return true;
}

let doorIsOpen = false; // the server asks nobody for anything

export function doorOpened(isOpen) {
  doorIsOpen = isOpen && !tokens.reader;
}

/** Confirms, and acts as the admin, whose token is asked for where one is needed. The answer, null if cancelled. */
export async function act({ title, text, go, risk, method, path }) {
  const needs = !doorIsOpen && !tokens.admin;
  let given = await ask({ title, text: needs ? `${text} It takes the admin's token.` : text, go, risk, token: needs });
  while (given !== null) {
    if (given) tokens.admin = given;
    try {
      return await call(method, path, tokens.admin || tokens.reader);
    } catch (error) {
      if (!isDoor(error)) throw error;
      tokens.admin = "";
      given = await ask({ title, text: `${error.message}. Another token?`, go, risk, token: true });
    }
  }
  return null;
}

/** The admin's token, for what only an admin reads. */
export async function askForAdmin() {
  const given = await ask({ title: "Admin", text: "Only an admin reads this.", go: "Read", token: true });
  if (given) tokens.admin = given;
  return Boolean(given);
}
