/** What stands where no conversation is yet: what this is, and three things to try. */

import { byId, el, fill } from "../core/dom.js";
import { whole } from "./figures.js";
import { FIRST_QUESTION } from "./examples.js";

/**
 * @param {import("./chat.js").Chat} chat
 * @param {{ask: (text: string) => void, openTask: (name: "extract" | "classify") => void}} doing
 */
export function startWelcome(chat, { ask, openTask }) {
  const section = byId("welcome", HTMLElement);
  const { name, context } = chat.model;
  const positions = context ? `, which reads up to ${whole(context)} tokens,` : "";
  fill(
    section,
    el("h2", {}, "A small model, close to you"),
    el(
      "p",
      {},
      `You are talking to ${name}${positions} on the server this page came from. What you write goes there and nowhere else; conversations are kept in this browser.`,
    ),
    el(
      "ul",
      { class: "tries" },
      attempt("Ask something", FIRST_QUESTION, () => ask(FIRST_QUESTION)),
      attempt("Pull facts out of a text", "Names, amounts and dates as JSON, each with the place it came from.", () =>
        openTask("extract"),
      ),
      attempt("Sort a text by labels", "A probability for every label, in one reading of the text.", () =>
        openTask("classify"),
      ),
    ),
  );
  const show = () => (section.hidden = chat.turns.length > 0);
  chat.addEventListener("change", show);
  show();
}

/** @param {string} title @param {string} description @param {() => void} go */
function attempt(title, description, go) {
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "try", on: { click: go } },
      el("strong", {}, title),
      el("span", {}, description),
    ),
  );
}
