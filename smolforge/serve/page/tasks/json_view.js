/** A JSON value on lines of its own, in which every value that has a place in the text can be pointed at and focused. */

import { el } from "../core/dom.js";
import { linkAttribute } from "./linking.js";
import { pathInWords } from "./source_text.js";

/** @typedef {import("./source_text.js").Field} Field */

/**
 * @param {unknown} value
 * @param {Field[]} fields of its leaves
 * @returns {HTMLElement}
 */
export function jsonView(value, fields) {
  const byPath = new Map(fields.map((field) => [field.path, field]));
  return el("pre", { class: "json" }, ...nodes(value, "", 0, byPath));
}

/** @param {unknown} value @param {string} path @param {number} depth @param {Map<string, Field>} byPath @returns {(Node | string)[]} */
function nodes(value, path, depth, byPath) {
  if (Array.isArray(value)) {
    return around(
      "[",
      "]",
      value.map((inner, at) => nodes(inner, `${path}/${at}`, depth + 1, byPath)),
      depth,
    );
  }
  if (typeof value === "object" && value !== null) {
    const rows = Object.entries(value).map(([name, inner]) => {
      const below = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      return [
        el("span", { class: "json-name" }, JSON.stringify(name)),
        ": ",
        ...nodes(inner, below, depth + 1, byPath),
      ];
    });
    return around("{", "}", rows, depth);
  }
  return [leaf(value, path, byPath.get(path))];
}

/** @param {string} open @param {string} close @param {(Node | string)[][]} rows @param {number} depth @returns {(Node | string)[]} */
function around(open, close, rows, depth) {
  if (!rows.length) return [open + close];
  const indent = "  ".repeat(depth);
  const lines = rows.flatMap((row, at) => [`${at ? "," : ""}\n${indent}  `, ...row]);
  return [open, ...lines, `\n${indent}${close}`];
}

/** @param {unknown} value @param {string} path @param {Field | undefined} field */
function leaf(value, path, field) {
  const text = JSON.stringify(value);
  if (!field || field.start === null) {
    const inferred = value !== null && value !== "" && el("span", { class: "badge" }, "inferred");
    return el("span", { class: "json-value is-inferred", title: "Stands nowhere in the text" }, text, inferred);
  }
  const label = `${pathInWords(path)}: ${text}, show in the text`;
  return el(
    "button",
    { type: "button", class: "json-value", "data-paths": linkAttribute([path]), "aria-label": label },
    text,
  );
}
