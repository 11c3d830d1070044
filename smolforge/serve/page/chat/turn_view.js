/** One turn of a conversation as an article: what was said, what it cost, and what can be done with it. */

import { el, fill, setAttribute } from "../core/dom.js";
import { copyButton, iconButton } from "../parts/buttons.js";
import { SpokenText } from "../parts/announcer.js";
import { showMarkdown } from "../parts/markdown.js";
import { callCard } from "./call_card.js";
import { editForm } from "./edit_form.js";
import { costFigures } from "./figures.js";
import { ReasoningView } from "./reasoning_view.js";
import { branches } from "./tree.js";

/** @typedef {import("./tree.js").Turn} Turn */
/** @typedef {import("./chat.js").Chat} Chat */

const WHO = { user: "You", assistant: "Answer", tool: "Result" };
const ENDINGS = /** @type {Record<string, string>} */ ({
  length: "The answer reached its longest length.",
  timeout: "The answer took too long and was ended by the server.",
  stopped: "Stopped.",
});

export class TurnView {
  #body = el("div", { class: "turn-body" });
  #prose = el("div", { class: "prose" });
  #calls = el("div", { class: "calls" });
  #note = el("p", { class: "turn-note" });
  #foot = el("div", { class: "turn-foot" });
  #reasoning = new ReasoningView();
  #spoken = new SpokenText();
  #wasLive = false;

  /**
   * @param {Chat} chat
   * @param {Turn} turn
   * @param {(call: import("./answer.js").ToolCall) => void} onAnswerCall a person wants to give a call's result
   */
  constructor(chat, turn, onAnswerCall) {
    this.chat = chat;
    this.turn = turn;
    this.onAnswerCall = onAnswerCall;
    this.article = el("article", { class: `turn ${turn.role}`, "aria-label": WHO[turn.role] }, this.#body, this.#foot);
    this.element = el("li", { "data-turn": turn.id }, this.article);
    if (turn.role === "assistant") this.#body.append(this.#reasoning.element, this.#prose, this.#calls, this.#note);
  }

  /** Draw the turn as it is now. @param {boolean} isLive whether its answer is being made */
  update(isLive) {
    const { turn } = this;
    if (turn.role === "assistant") this.#updateAnswer(isLive);
    else if (!this.#body.querySelector("form")) this.#showWritten();
    this.#updateFoot(isLive);
  }

  /** @param {boolean} isLive */
  #updateAnswer(isLive) {
    const { turn } = this;
    const { answer } = turn;
    if (!answer) return;
    this.#reasoning.update(answer, isLive, turn.content !== "");
    showMarkdown(this.#prose, turn.content);
    this.article.classList.toggle("is-live", isLive);
    setAttribute(this.article, "aria-busy", isLive && "true");
    fill(this.#calls, ...answer.calls.map((call) => callCard(this.chat, call, this.onAnswerCall)));
    const note = turn.waiting ?? turn.problem ?? this.#ending();
    fill(this.#note, note);
    setAttribute(this.#note, "role", turn.problem && "alert");
    this.#note.classList.toggle("problem", Boolean(turn.problem));
    if (isLive || this.#wasLive) this.#spoken.grow(turn.content, !isLive);
    this.#wasLive = isLive;
  }

  #ending() {
    if (this.chat.wasInterrupted(this.turn)) return "The page was closed while this was written.";
    return ENDINGS[this.turn.answer?.finish ?? ""] ?? "";
  }

  #showWritten() {
    fill(
      this.#body,
      this.turn.role === "tool" && el("p", { class: "tool-label" }, "Result"),
      el("div", { class: "written" }, this.turn.content),
    );
  }

  /** @param {boolean} isLive */
  #updateFoot(isLive) {
    const { turn, chat } = this;
    const state = JSON.stringify([
      isLive,
      chat.isBusy,
      branches(chat.conversation.tree, turn.parent).length,
      turn.answer?.cost,
    ]);
    if (this.#foot.dataset.state === state) return; // its buttons keep the focus while an answer grows
    this.#foot.dataset.state = state;
    fill(this.#foot, this.#branchSwitch(), ...(isLive ? [] : this.#actions()), this.#figures());
  }

  #branchSwitch() {
    const { turn, chat } = this;
    const beside = branches(chat.conversation.tree, turn.parent);
    if (beside.length < 2) return null;
    const at = beside.indexOf(turn);
    const step = (/** @type {"left" | "right"} */ side, /** @type {string} */ label, /** @type {number} */ by) =>
      iconButton(side, label, () => chat.choose(turn, by), { disabled: !beside[at + by] || chat.isBusy });
    return el(
      "span",
      { class: "branches", role: "group", "aria-label": "Versions" },
      step("left", "Version before", -1),
      el("span", {}, `${at + 1}/${beside.length}`),
      step("right", "Version after", 1),
    );
  }

  #actions() {
    const { turn, chat } = this;
    const disabled = chat.isBusy;
    const actions = [copyButton(() => turn.content, "Copy")];
    if (turn.role === "assistant")
      actions.push(iconButton("retry", "Regenerate", () => chat.regenerate(turn), { disabled }));
    else actions.push(iconButton("pencil", "Edit", () => this.edit(), { disabled }));
    return actions;
  }

  #figures() {
    const cost = this.turn.answer?.cost;
    if (!cost) return null;
    const figures = costFigures(cost, this.chat.model.context);
    return el("span", { class: "figures" }, ...figures.map(([text, title]) => el("span", { title }, text)));
  }

  /** Another branch was chosen with the keyboard or the mouse: its switch takes the focus over. */
  focusBranches() {
    /** @type {HTMLElement | null} */ (this.#foot.querySelector(".branches button:enabled"))?.focus();
  }

  /** Put a form in the place of what was written. */
  edit() {
    const form = editForm(this.turn.content, {
      save: (text) => this.chat.edit(this.turn, text),
      cancel: () => {
        this.#showWritten();
        /** @type {HTMLElement | null} */ (this.#foot.querySelector("button:last-of-type"))?.focus();
      },
    });
    fill(this.#body, form);
    form.querySelector("textarea")?.focus();
  }
}
