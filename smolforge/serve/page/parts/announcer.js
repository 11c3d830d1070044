/**
 * Words for screen readers: short messages at once, an answer sentence by sentence while it is written, so that no
 * reader hears every token and none has to wait for the end.
 */

import { byId } from "../core/dom.js";

/** @param {string} message */
export function announce(message) {
  byId("announcer", HTMLElement).textContent = message;
}

/** Announces a growing text: whole sentences, and the rest when it ends. */
export class SpokenText {
  #said = 0;

  /** @param {string} text all of it so far @param {boolean} ended */
  grow(text, ended) {
    const end = ended ? text.length : lastSentenceEnd(text);
    if (end > this.#said) announce(text.slice(this.#said, end).trim());
    this.#said = Math.max(this.#said, end);
  }
}

/** @param {string} text */
function lastSentenceEnd(text) {
  return Math.max(text.lastIndexOf(". "), text.lastIndexOf("! "), text.lastIndexOf("? "), text.lastIndexOf("\n")) + 1;
}
