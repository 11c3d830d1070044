/** Buttons: with an icon alone (named for screen readers and on hover) or with words. */

import { el } from "../core/dom.js";
import { icon } from "./icons.js";

/**
 * @param {import("./icons.js").IconName} name
 * @param {string} label its accessible name and tooltip
 * @param {(event: MouseEvent) => void} onClick
 * @param {Record<string, any>} [attributes]
 */
export function iconButton(name, label, onClick, attributes = {}) {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: onClick }, ...attributes },
    icon(name),
  );
}

/**
 * @param {string} label
 * @param {(event: MouseEvent) => void} onClick
 * @param {Record<string, any>} [attributes]
 */
export function button(label, onClick, attributes = {}) {
  return el("button", { type: "button", class: "button", on: { click: onClick }, ...attributes }, label);
}

/**
 * A button that copies what `text` returns and says that it did.
 * @param {() => string} text
 * @param {string} label
 */
export function copyButton(text, label) {
  const copy = iconButton("copy", label, async () => {
    await writeClipboard(text());
    copy.replaceChildren(icon("check"));
    copy.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      copy.replaceChildren(icon("copy"));
      copy.setAttribute("aria-label", label);
    }, 1500);
  });
  return copy;
}

/** The clipboard API exists only on https and localhost; elsewhere a selected text area does it. @param {string} text */
async function writeClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = el("textarea", { class: "visually-hidden", "aria-label": "Text to copy" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
