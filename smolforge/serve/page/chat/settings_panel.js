/** The settings of the conversation that is shown: system prompt and sampling. Empty fields leave it to the server. */

import { byId, el, fill } from "../core/dom.js";
import { button } from "../parts/buttons.js";
import { SAMPLING } from "./sampling.js";

/** @typedef {import("./sampling.js").Field} Field */

export class SettingsPanel {
  #panel = byId("panel-settings", HTMLElement);

  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    chat.addEventListener("open", () => this.draw());
    this.draw();
  }

  draw() {
    const reset = button("Use the server's defaults", () => this.#reset(), { class: "quiet-button" });
    fill(
      this.#panel,
      this.#system(),
      el("h2", {}, "Sampling"),
      el("div", { class: "sampling" }, ...SAMPLING.map((field) => this.#number(field))),
      reset,
    );
  }

  #system() {
    const { settings } = this.chat.conversation;
    const save = () => {
      settings.system = area.value;
      void this.chat.saveSettings();
    };
    const area = el("textarea", {
      id: "system-prompt",
      class: "input",
      rows: 5,
      placeholder: "How should the model answer?",
      on: { input: save },
    });
    area.value = settings.system;
    return el(
      "label",
      { class: "field", for: "system-prompt" },
      el("span", { class: "field-label" }, "System prompt"),
      area,
    );
  }

  /** @param {Field} field */
  #number({ name, label, hint, min, max, step }) {
    const { numbers } = this.chat.conversation.settings;
    const id = `sampling-${name}`;
    const save = () => {
      input.setAttribute("aria-invalid", String(!input.checkValidity()));
      if (input.value === "" && input.checkValidity()) delete numbers[name];
      else if (input.checkValidity()) numbers[name] = input.valueAsNumber;
      void this.chat.saveSettings();
    };
    const input = el("input", {
      id,
      type: "number",
      class: "small-input",
      min,
      max,
      step,
      placeholder: "default",
      "aria-describedby": `${id}-hint`,
      on: { input: save },
    });
    input.value = String(numbers[name] ?? "");
    return el(
      "div",
      { class: "number-field" },
      el("label", { for: id }, label),
      input,
      el("p", { id: `${id}-hint`, class: "hint" }, hint),
    );
  }

  #reset() {
    this.chat.conversation.settings.numbers = {};
    void this.chat.saveSettings();
    this.draw();
  }
}
