/**
 * Markdown in blocks: text in, a tree of plain objects out. Paragraphs, headings, lists, quotes, fenced code, tables and
 * rules; what is none of these is a paragraph. Pure; `markdown.js` turns the tree into nodes.
 */

/**
 * @typedef {{kind: "paragraph", text: string}
 *   | {kind: "heading", level: number, text: string}
 *   | {kind: "code", language: string, text: string}
 *   | {kind: "rule"}
 *   | {kind: "quote", blocks: Block[]}
 *   | {kind: "list", start: number | null, items: Block[][]}
 *   | {kind: "table", head: string[], align: string[], rows: string[][]}} Block
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])\s*(?:\1\s*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/;
const DIVIDER = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const DEPTH = 8; // lists and quotes inside one another

/** @param {string} line */
const isBlank = (line) => !line.trim();

/**
 * @param {string} text
 * @returns {{block: Block, source: string}[]} each block with the lines it was made of
 */
export function parseBlocks(text) {
  const lines = text.replaceAll("\r\n", "\n").replaceAll("\t", "    ").split("\n");
  return parse(lines, 0);
}

/** @param {string[]} lines @param {number} depth @returns {{block: Block, source: string}[]} */
function parse(lines, depth) {
  const found = [];
  for (let at = 0; at < lines.length;) {
    if (isBlank(lines[at])) {
      at++;
      continue;
    }
    const [block, end] = blockAt(lines, at, depth);
    found.push({ block, source: lines.slice(at, end).join("\n") });
    at = end;
  }
  return found;
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {[Block, number]} the block and its end */
function blockAt(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return code(lines, at, fence[1], fence[2]);
  const heading = HEADING.exec(line);
  if (heading) return [{ kind: "heading", level: heading[1].length, text: heading[2] }, at + 1];
  if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
  if (depth < DEPTH && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < DEPTH && ITEM.test(line)) return list(lines, at, depth);
  if (isTable(lines, at)) return table(lines, at);
  return paragraph(lines, at, depth);
}

/** @param {string[]} lines @param {number} at @param {string} fence @param {string} language @returns {[Block, number]} */
function code(lines, at, fence, language) {
  const close = lines.findIndex(
    (line, i) => i > at && line.trim().startsWith(fence) && !line.trim().replaceAll(fence[0], ""),
  );
  const end = close < 0 ? lines.length : close;
  return [{ kind: "code", language, text: lines.slice(at + 1, end).join("\n") }, close < 0 ? end : end + 1];
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {[Block, number]} */
function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end++;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [{ kind: "quote", blocks: parse(inner, depth + 1).map(({ block }) => block) }, end];
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {[Block, number]} */
function list(lines, at, depth) {
  const ordered = /\d/.test(ITEM.exec(lines[at])?.[2] ?? "");
  /** @type {Block[][]} */
  const items = [];
  let end = at;
  for (let item = ITEM.exec(lines[end]); item && /\d/.test(item[2]) === ordered; item = ITEM.exec(lines[end] ?? "")) {
    const indent = item[0].length || 2;
    const first = end++;
    while (end < lines.length && belongsToItem(lines, end, indent)) end++;
    const inner = [lines[first].slice(indent), ...lines.slice(first + 1, end).map((line) => dedent(line, indent))];
    items.push(parse(inner, depth + 1).map(({ block }) => block));
    while (end < lines.length && isBlank(lines[end]) && ITEM.test(lines[end + 1] ?? "")) end++;
  }
  const start = ordered ? Number.parseInt(lines[at].trim(), 10) : null;
  return [{ kind: "list", start, items }, end];
}

/** A line goes on with an item where it is indented, or blank with an indented one behind it, or continues its text. */
function belongsToItem(/** @type {string[]} */ lines, /** @type {number} */ at, /** @type {number} */ indent) {
  const line = lines[at];
  const inside = (/** @type {string | undefined} */ text) =>
    /^ {2,}/.test(text ?? "") && !isBlank(text ?? "") && spaces(text ?? "") >= Math.min(indent, 2);
  if (isBlank(line)) return inside(lines[at + 1]);
  return inside(line) || (!isBlank(lines[at - 1]) && !startsBlock(line));
}

/** @param {string} line */
const spaces = (line) => line.length - line.trimStart().length;

/** @param {string} line @param {number} indent */
const dedent = (line, indent) => line.slice(Math.min(indent, spaces(line)));

/** @param {string} line */
function startsBlock(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

/** @param {string[]} lines @param {number} at */
function isTable(lines, at) {
  const next = lines[at + 1] ?? "";
  return (
    lines[at].includes("|") &&
    next.includes("-") &&
    DIVIDER.test(next) &&
    cells(next).length === cells(lines[at]).length
  );
}

/** @param {string[]} lines @param {number} at @returns {[Block, number]} */
function table(lines, at) {
  const head = cells(lines[at]);
  const align = cells(lines[at + 1]).map((cell) =>
    cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "left",
  );
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end++;
  const rows = lines.slice(at + 2, end).map((line) => head.map((_, i) => cells(line)[i] ?? ""));
  return [{ kind: "table", head, align, rows }, end];
}

/** @param {string} line */
function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {[Block, number]} */
function paragraph(lines, at, depth) {
  let end = at + 1;
  const ends = (/** @type {string} */ line) => isBlank(line) || (depth < DEPTH && startsBlock(line));
  while (end < lines.length && !ends(lines[end]) && !isTable(lines, end)) end++;
  return [
    {
      kind: "paragraph",
      text: lines
        .slice(at, end)
        .map((line) => line.trim())
        .join("\n"),
    },
    end,
  ];
}
