/**
 * Markdown inside a line: text in, nodes out. Code, bold, italic, struck text, links (http and https only, in a new tab
 * that learns nothing of this page); anything else stays the text it is. Runs in time linear in the text for each kind
 * of mark, so that no answer can stall the page.
 */

import { el } from "../core/dom.js";

const MARKS = /** @type {const} */ ([
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "s"],
  ["*", "em"],
  ["_", "em"],
]);
const SPECIAL = /[\\`*_~[<]|https?:\/\//g;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const DEPTH = 8;

/**
 * @param {string} text
 * @param {number} [depth] how many marks this text stands inside
 * @returns {(Node | string)[]}
 */
export function inline(text, depth = 0) {
  return new Scanner(text, depth).nodes();
}

/**
 * A link that is safe to follow, or null.
 * @param {string} address
 */
export function safeUrl(address) {
  try {
    const url = new URL(address);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

class Scanner {
  #at = 0;
  #plain = "";
  /** @type {(Node | string)[]} */
  #nodes = [];
  #absent = new Set(); // marks that do not occur any more, so that they are looked for once

  /** @param {string} text @param {number} depth */
  constructor(text, depth) {
    this.text = text;
    this.depth = depth;
  }

  nodes() {
    while (this.#at < this.text.length) {
      SPECIAL.lastIndex = this.#at;
      const next = this.depth < DEPTH ? (SPECIAL.exec(this.text)?.index ?? this.text.length) : this.text.length;
      this.#plain += this.text.slice(this.#at, next);
      this.#at = next;
      if (next < this.text.length && !this.#mark()) this.#plain += this.text[this.#at++];
    }
    this.#flush();
    return this.#nodes;
  }

  #mark() {
    const here = this.text[this.#at];
    if (here === "\\") return this.#escape();
    if (here === "`") return this.#code();
    if (here === "[") return this.#link();
    if (here === "<" || here === "h") return this.#bareLink(here === "<");
    return MARKS.some(([mark, tag]) => this.#emphasis(mark, tag));
  }

  #escape() {
    const escaped = this.text[this.#at + 1];
    if (!escaped || !ESCAPABLE.test(escaped)) return false;
    this.#plain += escaped;
    this.#at += 2;
    return true;
  }

  #code() {
    const ticks = run(this.text, this.#at, "`");
    const end = this.#find(ticks, this.#at + ticks.length);
    if (end < 0) {
      this.#plain += ticks;
      this.#at += ticks.length;
      return true;
    }
    const code = this.text.slice(this.#at + ticks.length, end);
    this.#push(el("code", {}, code.replace(/^ (.*[^ ].*) $/s, "$1")), end + ticks.length);
    return true;
  }

  #link() {
    const middle = this.#find("](", this.#at);
    const end = middle < 0 ? -1 : this.#find(")", middle);
    if (end < 0) return false;
    const label = this.text.slice(this.#at + 1, middle);
    const url = safeUrl(
      this.text
        .slice(middle + 2, end)
        .trim()
        .split(/\s/, 1)[0],
    );
    if (label.includes("[") || label.includes("\n\n")) return false;
    this.#push(url ? anchor(url, ...inline(label, DEPTH)) : label, end + 1);
    return true;
  }

  /** @param {boolean} bracketed `<https://…>` rather than a bare address */
  #bareLink(bracketed) {
    const from = this.#at + (bracketed ? 1 : 0);
    const match = /^https?:\/\/[^\s<>"'`]{1,2000}/.exec(this.text.slice(from, from + 2100));
    if (!match || (bracketed && this.text[from + match[0].length] !== ">")) return false;
    const address = bracketed ? match[0] : match[0].replace(/[.,;:!?)\]*_]+$/, "");
    const url = safeUrl(address);
    if (!url) return false;
    this.#push(anchor(url, address), from + address.length + (bracketed ? 1 : 0));
    return true;
  }

  /** @param {string} mark @param {"strong" | "em" | "s"} tag */
  #emphasis(mark, tag) {
    if (!this.text.startsWith(mark, this.#at)) return false;
    const from = this.#at + mark.length;
    const word = /[\p{L}\p{N}]/u;
    if (mark[0] === "_" && word.test(this.text[this.#at - 1] ?? "")) return false; // snake_case
    if (!this.text[from] || /\s/.test(this.text[from])) return false;
    const end = this.#closing(mark, from);
    if (end < 0) return false;
    this.#push(el(tag, {}, ...inline(this.text.slice(from, end), this.depth + 1)), end + mark.length);
    return true;
  }

  /** Where `mark` closes: behind a character, and a single mark not inside a double one. @param {string} mark @param {number} from */
  #closing(mark, from) {
    for (let tries = 0, end = this.#find(mark, from + 1); end >= 0 && tries < 20; tries++) {
      const doubled = mark.length === 1 && (this.text[end + 1] === mark || this.text[end - 1] === mark);
      if (!doubled && !/\s/.test(this.text[end - 1])) return end;
      end = this.#find(mark, end + (doubled ? 2 : 1));
    }
    return -1;
  }

  /** @param {string} mark @param {number} from */
  #find(mark, from) {
    if (this.#absent.has(mark)) return -1;
    const at = this.text.indexOf(mark, from);
    if (at < 0) this.#absent.add(mark);
    return at;
  }

  /** @param {Node | string} node @param {number} end */
  #push(node, end) {
    this.#flush();
    this.#nodes.push(node);
    this.#at = end;
  }

  #flush() {
    if (this.#plain) this.#nodes.push(this.#plain);
    this.#plain = "";
  }
}

/** @param {string} text @param {number} at @param {string} character */
function run(text, at, character) {
  let end = at;
  while (text[end] === character) end++;
  return text.slice(at, end);
}

/** @param {string} url @param {...(Node | string)} children */
function anchor(url, ...children) {
  return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, ...children);
}
