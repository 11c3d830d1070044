/** Classification: a text and labels in; a probability for every label out, as bars. */

import { percent } from "../chat/figures.js";
import { el } from "../core/dom.js";
import { CLASSIFY_EXAMPLE } from "./examples.js";
import { field, startTask } from "./task_form.js";

/** @param {HTMLElement} section */
export function startClassify(section) {
  const text = el("textarea", { id: "classify-text", rows: 7, required: true, placeholder: "Paste a text" });
  const labels = el("textarea", {
    id: "classify-labels",
    rows: 5,
    required: true,
    placeholder: "One label a line, or by commas",
    "aria-describedby": "labels-hint",
  });
  const multi = el("input", { type: "checkbox", id: "classify-multi" });
  const abstain = el("input", {
    type: "number",
    id: "classify-abstain",
    class: "small-input",
    min: 0,
    max: 1,
    step: 0.01,
    placeholder: "none",
  });

  startTask(section, {
    path: "v1/classify",
    lead: "Gives every label its probability, in one reading of the text.",
    fields: [
      field("Text", text),
      field(
        "Labels",
        labels,
        el("p", { class: "hint", id: "labels-hint" }, "One label a line, or several by commas; two at least."),
      ),
      el("label", { class: "check", for: "classify-multi" }, multi, "Several labels may fit"),
      el(
        "div",
        { class: "check" },
        el("label", { for: "classify-abstain" }, "No label below a probability of"),
        abstain,
      ),
    ],
    action: "Classify",
    empty: "The labels with their probabilities will stand here.",
    request: () => ({
      text: text.value,
      labels: readLabels(labels.value),
      ...(multi.checked && { multi: true }),
      ...(abstain.value !== "" && { abstain: abstain.valueAsNumber }),
    }),
    show: showScores,
  });
  return {
    showExample: () => {
      text.value = CLASSIFY_EXAMPLE.text;
      labels.value = CLASSIFY_EXAMPLE.labels.join("\n");
    },
  };
}

/** @param {string} text */
export function readLabels(text) {
  const parts = text.trim().split(text.trim().includes("\n") ? "\n" : ",");
  return parts.map((label) => label.trim()).filter(Boolean);
}

/** @param {{label: string | null, labels: string[], scores: Record<string, number>}} result */
function showScores({ label, labels, scores }) {
  const chosen = label === null ? "No label reaches the threshold." : labels.join(", ");
  return [
    el("p", { class: "chosen" }, chosen),
    el(
      "ol",
      { class: "bars", "aria-label": "Labels by probability" },
      ...Object.entries(scores).map(([name, score]) => bar(name, score, labels.includes(name))),
    ),
  ];
}

/** @param {string} name @param {number} score @param {boolean} isChosen */
function bar(name, score, isChosen) {
  const track = el(
    "span",
    {
      class: "bar",
      role: "meter",
      "aria-label": name,
      "aria-valuemin": 0,
      "aria-valuemax": 1,
      "aria-valuenow": score,
      "aria-valuetext": percent(score),
    },
    el("span", {}),
  );
  /** @type {HTMLElement} */ (track.firstElementChild).style.width = `${score * 100}%`;
  return el(
    "li",
    { class: isChosen && "is-chosen" },
    el("span", { class: "bar-name" }, name),
    el("span", { class: "bar-score" }, percent(score)),
    track,
  );
}
