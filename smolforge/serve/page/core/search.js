/** Search over conversations: words in; where all of them stand, with a passage around the first, out. */

/** @typedef {import("./library.js").Conversation} Conversation */

const AROUND = 32;

/** @param {string} text */
const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/**
 * @param {Conversation[]} conversations
 * @param {string} query every word of it must occur in the title or in one of the turns
 * @returns {{conversation: Conversation, passage: string}[]} passage: "" where the title says it all
 */
export function search(conversations, query) {
  const words = folded(query).split(/\s+/).filter(Boolean);
  if (!words.length) return conversations.map((conversation) => ({ conversation, passage: "" }));
  const found = [];
  for (const conversation of conversations) {
    const texts = conversation.tree.turns.map((turn) => turn.content);
    const whole = folded([conversation.title, ...texts].join("\n"));
    if (words.every((word) => whole.includes(word))) found.push({ conversation, passage: passage(texts, words) });
  }
  return found;
}

/** @param {string[]} texts @param {string[]} words */
function passage(texts, words) {
  for (const text of texts) {
    const at = folded(text).indexOf(words[0]);
    if (at < 0) continue;
    const from = Math.max(0, at - AROUND);
    return `${from ? "…" : ""}${text.slice(from, at + AROUND * 2).replace(/\s+/g, " ")}…`;
  }
  return "";
}
