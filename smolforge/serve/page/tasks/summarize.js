/** Summaries: a text in, however long; a summary of bounded length out, in a language of choice. */

import { el } from "../core/dom.js";
import { copyButton } from "../parts/buttons.js";
import { showMarkdown } from "../parts/markdown.js";
import { field, startTask } from "./task_form.js";

const LANGUAGES = [
  ["en", "English"],
  ["fr", "French"],
  ["de", "German"],
  ["es", "Spanish"],
  ["it", "Italian"],
  ["pt", "Portuguese"],
  ["ar", "Arabic"],
  ["zh", "Chinese"],
  ["ru", "Russian"],
];

/** @param {HTMLElement} section */
export function startSummarize(section) {
  const text = el("textarea", {
    id: "summarize-text",
    rows: 14,
    required: true,
    placeholder: "Paste a text, however long",
  });
  const words = el("input", {
    type: "number",
    id: "summarize-words",
    min: 5,
    max: 1000,
    step: 1,
    value: 60,
    required: true,
  });
  const language = el(
    "select",
    { id: "summarize-language" },
    el("option", { value: "" }, "That of the text"),
    ...LANGUAGES.map(([code, name]) => el("option", { value: code }, name)),
  );

  startTask(section, {
    path: "v1/summarize",
    lead: "Says in few words what a text says; a long one is read in sections.",
    fields: [
      field("Text", text),
      el("div", { class: "two" }, field("Words at most", words), field("Language", language)),
    ],
    action: "Summarize",
    empty: "The summary will stand here.",
    request: () => ({
      text: text.value,
      words: words.valueAsNumber,
      ...(language.value && { language: language.value }),
    }),
    show: ({ summary }) => {
      const prose = el("div", { class: "prose" });
      showMarkdown(prose, summary);
      return [
        el(
          "div",
          { class: "outcome-head" },
          el("h2", {}, "Summary"),
          copyButton(() => summary, "Copy summary"),
        ),
        prose,
      ];
    },
  });
}
