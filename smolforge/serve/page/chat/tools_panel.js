/**
 * The tools of the conversation that is shown: their definitions as JSON, the model's calls, and the results. Nothing
 * is run here: a person types or pastes what a tool gave, and the conversation goes on.
 */

import { byId, el, fill, setAttribute } from "../core/dom.js";
import { button } from "../parts/buttons.js";
import { pretty, resultOf } from "./call_card.js";
import { EXAMPLE_TOOLS } from "./examples.js";
import { parseTools } from "./request.js";
import { openCalls } from "./tree.js";

/** @typedef {import("./answer.js").ToolCall} ToolCall */

const CHOICES = [
  ["auto", "may call"],
  ["required", "must call"],
  ["none", "must not call"],
];

export class ToolsPanel {
  #panel = byId("panel-tools", HTMLElement);
  #state = el("p", { class: "hint", id: "tools-state", role: "status" });
  #area = el("textarea", {
    id: "tool-definitions",
    class: "input mono",
    rows: 9,
    spellcheck: "false",
    placeholder: '[{"name": "…", "parameters": {…}}]',
    "aria-describedby": "tools-state",
  });
  #choice = el(
    "select",
    { id: "tool-choice", class: "input" },
    ...CHOICES.map(([value, words]) => el("option", { value }, words)),
  );
  #calls = el("div", { class: "calls" });

  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    const label = el(
      "label",
      { class: "field", for: "tool-definitions" },
      el("span", { class: "field-label" }, "Definitions"),
      this.#area,
    );
    const example = button("Use an example", () => this.#define(EXAMPLE_TOOLS), { class: "quiet-button" });
    const choice = el("label", { class: "number-field", for: "tool-choice" }, "The model", this.#choice);
    fill(
      this.#panel,
      label,
      el("div", { class: "row" }, this.#state, example),
      choice,
      el("h2", {}, "Calls"),
      this.#calls,
    );
    this.#area.addEventListener("input", () => this.#define(this.#area.value));
    this.#choice.addEventListener("change", () => {
      chat.conversation.settings.toolChoice = /** @type {"auto" | "required" | "none"} */ (this.#choice.value);
      void chat.saveSettings();
    });
    chat.addEventListener("open", () => this.#showDefinitions());
    chat.addEventListener("change", () => this.#showCalls());
    this.#showDefinitions();
    this.#showCalls();
  }

  /** Where the result of this call is typed. @param {ToolCall} call @returns {HTMLElement | undefined} */
  resultField(call) {
    return /** @type {HTMLElement | undefined} */ (
      [...this.#calls.querySelectorAll("textarea")].find((area) => area.dataset.call === call.id)
    );
  }

  /** @param {string} text */
  #define(text) {
    this.chat.conversation.settings.tools = text;
    void this.chat.saveSettings();
    this.#showDefinitions();
  }

  #showDefinitions() {
    const text = this.chat.conversation.settings.tools;
    if (this.#area.value !== text) this.#area.value = text;
    this.#choice.value = this.chat.conversation.settings.toolChoice;
    const { message, isWrong } = stateOf(text);
    this.#state.textContent = message;
    this.#state.classList.toggle("problem", isWrong);
    setAttribute(this.#area, "aria-invalid", isWrong && "true");
  }

  #showCalls() {
    const { turns } = this.chat;
    const calls = turns.flatMap((turn) => turn.answer?.calls ?? []);
    const open = new Set(this.chat.isBusy ? [] : openCalls(turns));
    const none = el(
      "p",
      { class: "quiet" },
      "None yet. With tools defined, the model can ask for a call; you give the result here.",
    );
    fill(this.#calls, ...(calls.length ? calls.map((call) => this.#card(call, open.has(call))) : [none]));
  }

  /** @param {ToolCall} call @param {boolean} isOpen whether it waits for its result */
  #card(call, isOpen) {
    const result = resultOf(this.chat, call);
    return el(
      "section",
      { class: "call", "aria-label": `Call of ${call.name}` },
      el("p", { class: "call-name" }, el("code", {}, call.name)),
      el(
        "pre",
        { class: "call-arguments", tabindex: 0, role: "region", "aria-label": "Arguments" },
        pretty(call.arguments),
      ),
      result &&
        el("pre", { class: "call-result", tabindex: 0, role: "region", "aria-label": "Result" }, result.content),
      isOpen && this.#resultForm(call),
    );
  }

  /** @param {ToolCall} call */
  #resultForm(call) {
    const area = el("textarea", {
      class: "input mono",
      rows: 3,
      "aria-label": `Result of ${call.name}`,
      placeholder: "What the tool gave",
      "data-call": call.id,
    });
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (area.value.trim()) void this.chat.giveResult(call, area.value);
    };
    return el(
      "form",
      { on: { submit } },
      area,
      el("button", { type: "submit", class: "button primary" }, "Give this result"),
    );
  }
}

/** @param {string} text */
function stateOf(text) {
  try {
    const names = parseTools(text).map((tool) => tool.function.name);
    return { message: names.length ? `Defined: ${names.join(", ")}.` : "No tools defined.", isWrong: false };
  } catch (error) {
    const message = error instanceof SyntaxError ? "This is not JSON yet." : /** @type {Error} */ (error).message;
    return { message: `${message} Nothing is sent with the next message until it is right.`, isWrong: true };
  }
}
