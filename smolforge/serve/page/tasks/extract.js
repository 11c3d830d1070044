/** Extraction: a text and a schema in; JSON out, with the place in the text that each value came from. */

import { el, setAttribute } from "../core/dom.js";
import { copyButton } from "../parts/buttons.js";
import { EXTRACT_EXAMPLES } from "./examples.js";
import { jsonView } from "./json_view.js";
import { linkFields } from "./linking.js";
import { describeSchema, readSchema } from "./schema.js";
import { sourceText } from "./source_text.js";
import { field, startTask } from "./task_form.js";

/** @param {HTMLElement} section */
export function startExtract(section) {
  const text = el("textarea", { id: "extract-text", rows: 9, required: true, placeholder: "Paste a text" });
  const schema = el("textarea", {
    id: "extract-schema",
    class: "mono",
    rows: 4,
    required: true,
    spellcheck: "false",
    placeholder: "name, age int, tags [str]",
    "aria-describedby": "schema-state",
  });
  const state = el("p", { class: "hint", id: "schema-state", role: "status" });
  const pick = el(
    "select",
    { id: "extract-pick", class: "input" },
    el("option", { value: "" }, "Pick an example…"),
    ...Object.keys(EXTRACT_EXAMPLES).map((name) => el("option", {}, name)),
  );

  const describe = () => {
    const { message, isWrong } = describeSchema(schema.value);
    state.textContent = message;
    state.classList.toggle("problem", isWrong);
    setAttribute(schema, "aria-invalid", isWrong && "true");
  };
  const use = (/** @type {string} */ name) => {
    const example = EXTRACT_EXAMPLES[name];
    if (!example) return;
    ({ text: text.value, schema: schema.value } = example);
    pick.value = name;
    describe();
  };
  schema.addEventListener("input", describe);
  pick.addEventListener("change", () => use(pick.value));
  describe();

  startTask(section, {
    path: "v1/extract",
    lead: "Turns a text into JSON of your shape, and shows where each value stands.",
    fields: [
      el("div", { class: "field" }, el("label", { class: "visually-hidden", for: "extract-pick" }, "Example"), pick),
      field("Text", text),
      field("What to find", schema, state),
    ],
    action: "Extract",
    empty: "The JSON and the marked text will stand here.",
    request: () => ({ text: text.value, schema: readSchema(schema.value) }),
    show: showExtraction,
  });
  return { showExample: () => use(Object.keys(EXTRACT_EXAMPLES)[0]) };
}

/** @param {{value: unknown, sources: import("./source_text.js").Field[]}} result @param {{text: string}} asked */
function showExtraction({ value, sources }, { text }) {
  const found = el(
    "div",
    { class: "found" },
    el(
      "div",
      { class: "outcome-head" },
      el("h2", {}, "JSON"),
      copyButton(() => JSON.stringify(value, null, 2), "Copy JSON"),
    ),
    jsonView(value, sources),
    el("h2", {}, "Where it stands"),
    sourceText(text, sources),
  );
  linkFields(found);
  return [found];
}
