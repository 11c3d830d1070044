/** A function call that the model asks for, with its result or a way to give one. */

import { el } from "../core/dom.js";
import { button } from "../parts/buttons.js";

/** @typedef {import("./answer.js").ToolCall} ToolCall */

/**
 * @param {import("./chat.js").Chat} chat
 * @param {ToolCall} call
 * @param {(call: ToolCall) => void} onAnswer
 */
export function callCard(chat, call, onAnswer) {
  const result = resultOf(chat, call);
  return el(
    "section",
    { class: "call", "aria-label": `Call of ${call.name}` },
    el(
      "p",
      { class: "call-name" },
      el("code", {}, call.name),
      result ? el("span", { class: "badge" }, "answered") : null,
    ),
    el(
      "pre",
      { class: "call-arguments", tabindex: 0, "aria-label": "Arguments", role: "region" },
      pretty(call.arguments),
    ),
    !result && !chat.isBusy && button("Give its result", () => onAnswer(call)),
  );
}

/** @param {import("./chat.js").Chat} chat @param {ToolCall} call */
export function resultOf(chat, call) {
  return chat.turns.find((turn) => turn.role === "tool" && turn.callId === call.id);
}

/** JSON on lines of its own; half a JSON text, as while it is written, stays as it is. @param {string} text */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
