/** The form in which a message is written again: Enter sends, Shift+Enter makes a new line, Escape leaves it be. */

import { el } from "../core/dom.js";
import { button } from "../parts/buttons.js";

/**
 * @param {string} text
 * @param {{save: (text: string) => void, cancel: () => void}} then
 */
export function editForm(text, { save, cancel }) {
  const area = el("textarea", {
    class: "input",
    "aria-label": "Your message",
    rows: Math.min(12, text.split("\n").length + 1),
  });
  area.value = text;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!area.value.trim()) return;
    form.remove();
    save(area.value);
  };
  const form = el(
    "form",
    { class: "edit-form", on: { submit } },
    area,
    el(
      "div",
      { class: "row end" },
      button("Cancel", cancel),
      el("button", { type: "submit", class: "button primary" }, "Send as a new branch"),
    ),
  );
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    if (event.key !== "Escape") return;
    event.stopPropagation();
    cancel();
  });
  return form;
}
