/** Where a person writes: the message, whether the model thinks first, how full the context is, send or stop. */

import { byId, el, fill } from "../core/dom.js";
import { icon } from "../parts/icons.js";
import { whole, percent } from "./figures.js";
import { BUDGET } from "./sampling.js";

const TALLEST = 0.4; // of the window

export class Composer {
  #area = el("textarea", {
    id: "message",
    rows: 1,
    placeholder: "Write a message",
    "aria-label": "Message",
    autocomplete: "off",
  });
  #submit = el("button", { type: "submit", class: "send-button" });
  #think = el(
    "button",
    { type: "button", class: "switch", role: "switch", "aria-describedby": "think-why" },
    el("span", { class: "switch-dot", "aria-hidden": "true" }),
    "Think",
  );
  #why = el("span", { id: "think-why", class: "quiet" });
  #budget = el("input", {
    type: "number",
    class: "small-input",
    min: BUDGET.min,
    max: BUDGET.max,
    step: BUDGET.step,
    placeholder: "no limit",
    "aria-label": "Most tokens to think",
  });
  #limit = el("span", { class: "budget" }, "at most", this.#budget);
  #context = el("span", { class: "context quiet" });

  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    const form = byId("composer", HTMLFormElement);
    fill(
      form,
      this.#area,
      el("div", { class: "composer-row" }, this.#think, this.#limit, this.#why, this.#context, this.#submit),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendOrStop();
    });
    this.#area.addEventListener("input", () => this.#resize());
    this.#area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!chat.isBusy) this.#sendOrStop();
    });
    this.#think.addEventListener("click", () => this.#toggleThink());
    this.#budget.addEventListener("change", () => this.#saveBudget());
    for (const event of ["open", "change"]) chat.addEventListener(event, () => this.draw());
    this.draw();
  }

  focus() {
    this.#area.focus();
  }

  /** Say something in the person's place. @param {string} text */
  send(text) {
    void this.chat.send(text);
    this.focus();
  }

  draw() {
    this.#drawSubmit();
    this.#drawThink();
    this.#drawContext();
  }

  #drawSubmit() {
    const { isBusy } = this.chat;
    const label = isBusy ? "Stop" : "Send";
    fill(this.#submit, icon(isBusy ? "stop" : "send"));
    this.#submit.setAttribute("aria-label", label);
    this.#submit.title = isBusy ? "Stop (Esc)" : "Send (Enter)";
  }

  #drawThink() {
    const { model, conversation } = this.chat;
    const on = model.thinks && conversation.settings.think;
    this.#think.setAttribute("aria-checked", String(on));
    this.#think.setAttribute("aria-disabled", String(!model.thinks));
    this.#why.textContent = model.thinks ? "" : "This model has no think mode.";
    this.#limit.hidden = !on;
    this.#budget.value = String(conversation.settings.numbers[BUDGET.name] ?? "");
  }

  #drawContext() {
    const { model, turns } = this.chat;
    const cost = turns.findLast((turn) => turn.answer?.cost)?.answer?.cost;
    const used = cost ? cost.prompt + cost.completion : 0;
    this.#context.textContent = model.context ? `${whole(used)} / ${whole(model.context)}` : "";
    this.#context.title = model.context
      ? `${percent(used / model.context)} of the model's context is used, in tokens`
      : "";
  }

  #sendOrStop() {
    if (this.chat.isBusy) return this.chat.stop();
    const text = this.#area.value;
    if (!text.trim()) return this.focus();
    this.#area.value = "";
    this.#resize();
    void this.chat.send(text);
  }

  #toggleThink() {
    if (!this.chat.model.thinks) return;
    const { settings } = this.chat.conversation;
    settings.think = !settings.think;
    this.#drawThink();
    void this.chat.saveSettings();
  }

  #saveBudget() {
    const { numbers } = this.chat.conversation.settings;
    if (this.#budget.value === "") delete numbers[BUDGET.name];
    else if (this.#budget.checkValidity()) numbers[BUDGET.name] = this.#budget.valueAsNumber;
    void this.chat.saveSettings();
  }

  #resize() {
    this.#area.style.height = "auto";
    this.#area.style.height = `${Math.min(this.#area.scrollHeight, innerHeight * TALLEST)}px`;
  }
}
