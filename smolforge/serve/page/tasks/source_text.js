/** A text with the places that values came from marked in it; places may overlap. */

import { el } from "../core/dom.js";
import { linkAttribute } from "./linking.js";

/**
 * @typedef {object} Field
 * @property {string} path JSON pointer
 * @property {unknown} value
 * @property {number | null} start in characters of the text (code points, as the server counts); null: inferred
 * @property {number | null} end
 */

/**
 * @param {string} text
 * @param {Field[]} fields
 * @returns {HTMLElement}
 */
export function sourceText(text, fields) {
  const pieces = segments([...text], fields).map(({ text: piece, paths }) =>
    paths.length ? mark(piece, paths) : piece,
  );
  return el("p", { class: "source-text" }, ...pieces);
}

/** @param {string} text @param {string[]} paths */
function mark(text, paths) {
  const names = paths.map(pathInWords).join(", ");
  return el(
    "mark",
    {
      tabindex: 0,
      role: "button",
      "data-paths": linkAttribute(paths),
      "aria-label": `${text}: ${names}`,
      title: names,
    },
    text,
  );
}

/** `/items/0/name` as a person would say it. @param {string} path */
export function pathInWords(path) {
  const parts = path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  return parts.map((part) => (/^\d+$/.test(part) ? String(Number(part) + 1) : part)).join(" ") || "value";
}

/**
 * Cut a text at every place's start and end.
 * @param {string[]} characters code points
 * @param {Field[]} fields
 * @returns {{text: string, paths: string[]}[]}
 */
export function segments(characters, fields) {
  const places = fields.flatMap(({ path, start, end }) =>
    start === null || end === null ? [] : [{ path, start, end }],
  );
  const cuts = [...new Set([0, characters.length, ...places.flatMap(({ start, end }) => [start, end])])].sort(
    (a, b) => a - b,
  );
  return cuts.slice(0, -1).map((from, at) => ({
    text: characters.slice(from, cuts[at + 1]).join(""),
    paths: places.filter(({ start, end }) => start <= from && from < end).map(({ path }) => path),
  }));
}
