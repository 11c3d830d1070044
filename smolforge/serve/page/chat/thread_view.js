/** The turns that are shown, top to bottom; follows a growing answer as long as the reader is at its end. */

import { byId, onNextFrame } from "../core/dom.js";
import { announce } from "../parts/announcer.js";
import { TurnView } from "./turn_view.js";

/** @typedef {import("./tree.js").Turn} Turn */

const NEAR_END = 80; // pixels

export class ThreadView {
  /** @type {Map<string, TurnView>} */
  #views = new Map();
  #list = byId("thread", HTMLOListElement);
  #scroll = byId("thread-scroll", HTMLElement);
  #follows = true;

  /** @param {import("./chat.js").Chat} chat @param {(call: import("./answer.js").ToolCall) => void} onAnswerCall */
  constructor(chat, onAnswerCall) {
    this.chat = chat;
    this.onAnswerCall = onAnswerCall;
    chat.addEventListener("open", () => this.#forget());
    chat.addEventListener("change", () => this.draw());
    chat.addEventListener("choose", (event) =>
      this.#viewOf(/** @type {CustomEvent<Turn>} */ (event).detail).focusBranches(),
    );
    const drawLast = onNextFrame(() => this.#drawLast());
    chat.addEventListener("turn", drawLast);
    this.#scroll.addEventListener("scroll", () => (this.#follows = this.#isNearEnd()));
  }

  draw() {
    const { turns } = this.chat;
    const views = turns.map((turn) => this.#viewOf(turn));
    const elements = views.map((view) => view.element);
    const same =
      elements.length === this.#list.children.length &&
      elements.every((element, at) => element === this.#list.children[at]);
    if (!same) this.#list.replaceChildren(...elements);
    views.forEach((view, at) => view.update(this.chat.isBusy && at === views.length - 1));
    if (this.chat.isBusy && turns.at(-1)?.content === "") {
      announce("Answering");
      this.#follows = true;
    }
    this.#follow();
    if (document.activeElement === document.body) this.#scroll.focus({ preventScroll: true }); // what had it is gone
  }

  /** Put the last message of the person into a form. */
  editLast() {
    const last = this.chat.turns.findLast((turn) => turn.role === "user");
    if (last && !this.chat.isBusy) this.#viewOf(last).edit();
  }

  #drawLast() {
    const last = this.chat.turns.at(-1);
    if (last) this.#viewOf(last).update(this.chat.isBusy);
    this.#follow();
  }

  /** @param {Turn} turn */
  #viewOf(turn) {
    const view = this.#views.get(turn.id) ?? new TurnView(this.chat, turn, this.onAnswerCall);
    this.#views.set(turn.id, view);
    return view;
  }

  #forget() {
    this.#views.clear();
    this.#follows = true;
  }

  #isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #follow() {
    if (this.#follows) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}
