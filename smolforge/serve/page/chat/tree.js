/**
 * A conversation as a tree: editing or regenerating adds a branch beside the old one, nothing is overwritten.
 */

/** @typedef {import("./answer.js").Answer} Answer */

/**
 * @typedef {object} Turn one message
 * @property {string} id
 * @property {string} parent id of the turn before; "" for a first one
 * @property {"user" | "assistant" | "tool"} role
 * @property {string} content
 * @property {string} [callId] of a tool's result: which call it answers
 * @property {Answer} [answer] of an assistant: everything beside the content
 * @property {string} [problem] why an answer is incomplete or missing
 * @property {string} [waiting] what its answer waits for, while it does
 */

/**
 * @typedef {object} Tree
 * @property {Turn[]} turns in the order in which they were written
 * @property {Record<string, string>} chosen parent id → id of the branch that is shown; the last one where absent
 */

/** @returns {Tree} */
export function newTree() {
  return { turns: [], chosen: {} };
}

/** Random, and good enough to name things; works where `crypto.randomUUID` is missing (plain http on another host). */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(36).padStart(2, "0")).join("");
}

/**
 * Add a turn behind `parent` and show it.
 * @param {Tree} tree
 * @param {string} parent
 * @param {Omit<Turn, "id" | "parent">} turn
 * @returns {Turn}
 */
export function addTurn(tree, parent, turn) {
  const added = { id: newId(), parent, ...turn };
  tree.turns.push(added);
  tree.chosen[parent] = added.id;
  return added;
}

/** @param {Tree} tree @param {string} parent */
export function branches(tree, parent) {
  return tree.turns.filter((turn) => turn.parent === parent);
}

/**
 * The turns that are shown, first to last.
 * @param {Tree} tree
 * @returns {Turn[]}
 */
export function shownTurns(tree) {
  /** @type {Map<string, Turn>} */
  const shown = new Map(); // by parent: the chosen branch, else the last
  for (const turn of tree.turns) {
    if (!tree.chosen[turn.parent] || tree.chosen[turn.parent] === turn.id) shown.set(turn.parent, turn);
  }
  const path = [];
  for (let turn = shown.get(""); turn; turn = shown.get(turn.id)) path.push(turn);
  return path;
}

/**
 * The turns before `turn`, first to last.
 * @param {Tree} tree
 * @param {Turn} turn
 */
export function turnsBefore(tree, turn) {
  const byId = new Map(tree.turns.map((each) => [each.id, each]));
  const path = [];
  for (let at = byId.get(turn.parent); at; at = byId.get(at.parent)) path.unshift(at);
  return path;
}

/**
 * Calls of the last answer shown that have no result yet.
 * @param {Turn[]} turns shown turns
 */
export function openCalls(turns) {
  const last = turns.findLastIndex((turn) => turn.role === "assistant");
  const answered = new Set(turns.slice(last + 1).map((turn) => turn.callId));
  return (turns[last]?.answer?.calls ?? []).filter((call) => !answered.has(call.id));
}
