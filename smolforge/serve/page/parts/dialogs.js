/** Questions in front of the page, as native dialogs: the browser keeps the focus inside and gives it back. */

import { el } from "../core/dom.js";
import { apiKey } from "../core/server.js";
import { button } from "./buttons.js";

/**
 * Show a dialog and return what its form was closed with; "" where it was dismissed.
 * @param {string} title
 * @param {HTMLElement[]} body
 * @param {{label: string, value: string, danger?: boolean}} action
 * @returns {Promise<string>}
 */
function ask(title, body, action) {
  const heading = el("h2", { id: "dialog-title" }, title);
  const cancel = button("Cancel", () => dialog.close(""));
  const confirm = el(
    "button",
    { type: "submit", class: action.danger ? "button danger" : "button primary", value: action.value },
    action.label,
  );
  const form = el(
    "form",
    { method: "dialog" },
    heading,
    ...body,
    el("div", { class: "dialog-actions" }, cancel, confirm),
  );
  const dialog = el("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/** @param {string} title @param {string} explanation @param {string} label of the button that does it */
export async function confirmDanger(title, explanation, label) {
  return (await ask(title, [el("p", {}, explanation)], { label, value: "yes", danger: true })) === "yes";
}

/** Ask for the API key and keep it for this tab; false where the person gave none. */
export async function askForKey() {
  const input = el("input", { type: "password", id: "api-key", autocomplete: "off", required: true, class: "input" });
  const refused = apiKey.get() !== "";
  const body = [
    el(
      "p",
      {},
      refused ? "The server did not accept this key." : "This server asks for the key that it was started with.",
    ),
    el("label", { class: "field", for: "api-key" }, "API key", input),
    el("p", { class: "quiet" }, "It is kept until this tab is closed and sent to this server only."),
  ];
  const given = await ask("API key", body, { label: "Use this key", value: "yes" });
  if (given !== "yes") return false;
  apiKey.set(input.value.trim());
  return true;
}

/** @param {[string, string][]} shortcuts keys and what they do */
export function showShortcuts(shortcuts) {
  const rows = shortcuts.flatMap(([keys, meaning]) => [
    el("dt", {}, ...keys.split(" ").map((key) => el("kbd", {}, key))),
    el("dd", {}, meaning),
  ]);
  const heading = el("h2", { id: "shortcuts-title" }, "Keyboard shortcuts");
  const close = el("button", { type: "submit", class: "button" }, "Close");
  const form = el(
    "form",
    { method: "dialog" },
    heading,
    el("dl", { class: "shortcuts" }, ...rows),
    el("div", { class: "dialog-actions" }, close),
  );
  const dialog = el("dialog", { class: "dialog", "aria-labelledby": "shortcuts-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
