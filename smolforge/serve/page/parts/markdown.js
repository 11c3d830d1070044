/**
 * Markdown as nodes: what a model wrote in, elements out. Nothing it wrote is read as HTML, and no image is loaded.
 */

import { el, setAttribute } from "../core/dom.js";
import { copyButton } from "./buttons.js";
import { inline } from "./markdown_inline.js";
import { parseBlocks } from "./markdown_blocks.js";

/** @typedef {import("./markdown_blocks.js").Block} Block */

/** @type {WeakMap<Element, string>} */
const sources = new WeakMap();

/**
 * Show `text` in `container`. Blocks that have not changed keep their nodes, so a growing answer is cheap to draw and
 * what a person has selected in it stays selected.
 * @param {Element} container
 * @param {string} text
 */
export function showMarkdown(container, text) {
  const blocks = parseBlocks(text);
  blocks.forEach(({ block, source }, at) => {
    const old = container.children[at];
    if (old && sources.get(old) === source) return;
    const node = element(block);
    sources.set(node, source);
    if (old) old.replaceWith(node);
    else container.append(node);
  });
  while (container.children.length > blocks.length) container.lastElementChild?.remove();
}

/** @param {Block} block @returns {HTMLElement} */
function element(block) {
  switch (block.kind) {
    case "paragraph":
      return el("p", {}, ...lines(block.text));
    case "heading":
      return heading(block.level, block.text);
    case "rule":
      return el("hr");
    case "code":
      return code(block.language, block.text);
    case "quote":
      return el("blockquote", {}, ...block.blocks.map(element));
    case "list":
      return list(block.start, block.items);
    case "table":
      return table(block);
  }
}

/** An answer stands below the page's own h1 and h2. @param {number} level @param {string} text */
function heading(level, text) {
  const tag = level <= 2 ? "h3" : level === 3 ? "h4" : "h5";
  return el(tag, {}, ...inline(text));
}

/** @param {string} text */
function lines(text) {
  return text.split("\n").flatMap((line, at) => (at ? [el("br"), ...inline(line)] : inline(line)));
}

/** @param {string} language @param {string} text */
function code(language, text) {
  const name = language || "code";
  return el(
    "figure",
    { class: "code" },
    el(
      "figcaption",
      {},
      el("span", {}, name),
      copyButton(() => text, `Copy ${name}`),
    ),
    el("pre", { tabindex: 0, role: "region", "aria-label": `Block of ${name}` }, el("code", {}, text)),
  );
}

/** @param {number | null} start @param {Block[][]} items */
function list(start, items) {
  const rows = items.map((blocks) =>
    el("li", {}, ...blocks.flatMap((block) => (block.kind === "paragraph" ? lines(block.text) : element(block)))),
  );
  if (start === null) return el("ul", {}, ...rows);
  return el("ol", { start: start === 1 ? null : start }, ...rows);
}

/** @param {Extract<Block, {kind: "table"}>} block */
function table({ head, align, rows }) {
  const cell = (/** @type {"th" | "td"} */ tag, /** @type {string} */ text, /** @type {number} */ at) => {
    const made = el(tag, { scope: tag === "th" && "col" }, ...inline(text));
    setAttribute(made, "data-align", align[at]);
    return made;
  };
  const row = (/** @type {"th" | "td"} */ tag) => (/** @type {string[]} */ texts) =>
    el("tr", {}, ...texts.map((text, at) => cell(tag, text, at)));
  return el(
    "div",
    { class: "table", tabindex: 0, role: "region", "aria-label": "Table" },
    el("table", {}, el("thead", {}, row("th")(head)), el("tbody", {}, ...rows.map(row("td")))),
  );
}
