/**
 * What the model reasoned before it answered: open while it reasons, closed when the answer begins, unless the person
 * has opened or closed it; with its tokens and seconds.
 */

import { el, fill } from "../core/dom.js";
import { showMarkdown } from "../parts/markdown.js";
import { inSeconds, whole } from "./figures.js";

export class ReasoningView {
  #summary = el("summary");
  #text = el("div", { class: "prose reasoning-text" });
  #touched = false;
  #since = 0;

  constructor() {
    this.element = el("details", { class: "reasoning", hidden: true }, this.#summary, this.#text);
    this.#summary.addEventListener("click", () => (this.#touched = true));
  }

  /**
   * @param {import("./answer.js").Answer} answer
   * @param {boolean} isLive
   * @param {boolean} hasContent whether the answer has begun
   */
  update(answer, isLive, hasContent) {
    if (!answer.reasoning) return;
    const reasons = isLive && !answer.reasoningSeconds && !hasContent;
    if (reasons) this.#since ||= performance.now();
    this.element.hidden = false;
    if (!this.#touched) this.element.open = reasons;
    fill(
      this.#summary,
      reasons ? `Reasoning for ${inSeconds((performance.now() - this.#since) / 1000)}` : this.#finished(answer),
    );
    this.element.classList.toggle("is-live", reasons);
    if (this.element.open || !reasons) showMarkdown(this.#text, answer.reasoning);
  }

  /** @param {import("./answer.js").Answer} answer */
  #finished({ cost, reasoningSeconds }) {
    const parts = ["Reasoned"];
    if (cost?.reasoning) parts.push(`${whole(cost.reasoning)} tokens`);
    if (reasoningSeconds >= 0.05) parts.push(inSeconds(reasoningSeconds));
    return parts.join(" · ");
  }
}
