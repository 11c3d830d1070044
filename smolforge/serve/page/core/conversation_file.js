/**
 * Conversations as a JSON file: written whole, and checked field by field when one is read, since a file may come from
 * anywhere. Only known fields are taken over.
 */

import { NUMBER_NAMES } from "../chat/sampling.js";
import { newId } from "../chat/tree.js";

/** @typedef {import("./library.js").Conversation} Conversation */

const FORMAT = "smolforge-conversations";
const VERSION = 1;
const ROLES = /** @type {const} */ (["user", "assistant", "tool"]);
const TOOL_CHOICES = /** @type {const} */ (["auto", "required", "none"]);

/** @param {Conversation[]} conversations */
export function writeFile(conversations) {
  return JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1);
}

/**
 * @param {string} text
 * @param {(id: string) => boolean} isTaken ids that are in use; such a conversation gets a new one
 * @returns {Conversation[]}
 * @throws {Error} that names the place and what was expected there
 */
export function readFile(text, isTaken) {
  const file = parsed(text);
  if (file?.format !== FORMAT) throw new Error("This is not a file of smolforge conversations.");
  if (file.version !== VERSION)
    throw new Error(`This file has version ${file.version}; this page reads version ${VERSION}.`);
  const given = list(file.conversations, "conversations");
  return given.map((one, at) => {
    const read = conversation(one, `conversations[${at}]`);
    return isTaken(read.id) ? { ...read, id: newId() } : read;
  });
}

/** @param {string} text @returns {any} */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("This file is not JSON.");
  }
}

/** @param {unknown} given @param {string} where @returns {Conversation} */
function conversation(given, where) {
  const from = object(given, where);
  const settings = object(from.settings, `${where}.settings`);
  const tree = object(from.tree, `${where}.tree`);
  const turns = list(tree.turns, `${where}.tree.turns`).map((one, at) => turn(one, `${where}.tree.turns[${at}]`));
  checkParents(turns, `${where}.tree.turns`);
  return {
    id: text(from.id, `${where}.id`),
    title: text(from.title, `${where}.title`),
    created: number(from.created, `${where}.created`),
    updated: number(from.updated, `${where}.updated`),
    settings: {
      system: text(settings.system, `${where}.settings.system`),
      think: settings.think === true,
      numbers: numbers(settings.numbers, `${where}.settings.numbers`),
      tools: text(settings.tools, `${where}.settings.tools`),
      toolChoice: oneOf(TOOL_CHOICES, settings.toolChoice, `${where}.settings.toolChoice`),
    },
    tree: { turns, chosen: chosen(tree.chosen, turns, `${where}.tree.chosen`) },
  };
}

/** @param {unknown} given @param {string} where @returns {import("../chat/tree.js").Turn} */
function turn(given, where) {
  const from = object(given, where);
  const role = oneOf(ROLES, from.role, `${where}.role`);
  return {
    id: text(from.id, `${where}.id`),
    parent: text(from.parent, `${where}.parent`),
    role,
    content: text(from.content, `${where}.content`),
    ...(role === "tool" && { callId: text(from.callId, `${where}.callId`) }),
    ...(role === "assistant" && { answer: answer(from.answer, `${where}.answer`) }),
    ...(typeof from.problem === "string" && { problem: from.problem }),
  };
}

/** @param {unknown} given @param {string} where @returns {import("../chat/answer.js").Answer} */
function answer(given, where) {
  const from = object(given, where);
  return {
    reasoning: text(from.reasoning, `${where}.reasoning`),
    reasoningSeconds: number(from.reasoningSeconds, `${where}.reasoningSeconds`),
    calls: list(from.calls, `${where}.calls`).map((one, at) => call(one, `${where}.calls[${at}]`)),
    finish: text(from.finish, `${where}.finish`),
    cost: from.cost === null ? null : cost(from.cost, `${where}.cost`),
  };
}

/** @param {unknown} given @param {string} where */
function call(given, where) {
  const from = object(given, where);
  return {
    id: text(from.id, `${where}.id`),
    name: text(from.name, `${where}.name`),
    arguments: text(from.arguments, `${where}.arguments`),
  };
}

/** @param {unknown} given @param {string} where @returns {import("../chat/answer.js").Cost} */
function cost(given, where) {
  const from = object(given, where);
  const read = (/** @type {string} */ name) => number(from[name], `${where}.${name}`);
  return {
    prompt: read("prompt"),
    cached: read("cached"),
    completion: read("completion"),
    reasoning: read("reasoning"),
    tokensPerSecond: read("tokensPerSecond"),
  };
}

/** Every parent stands before its children, so the turns are a tree. */
function checkParents(/** @type {import("../chat/tree.js").Turn[]} */ turns, /** @type {string} */ where) {
  const seen = new Set([""]);
  turns.forEach(({ id, parent }, at) => {
    if (seen.has(id)) throw expected(`${where}[${at}].id`, id, "an id of its own");
    if (!seen.has(parent)) throw expected(`${where}[${at}].parent`, parent, "the id of a turn before it");
    seen.add(id);
  });
}

/** @param {unknown} given @param {import("../chat/tree.js").Turn[]} turns @param {string} where */
function chosen(given, turns, where) {
  const parents = new Map(turns.map(({ id, parent }) => [id, parent]));
  return Object.fromEntries(
    Object.entries(object(given, where)).map(([parent, id]) => {
      if (parents.get(id) !== parent) throw expected(`${where}.${parent}`, id, "the id of one of its branches");
      return [parent, id];
    }),
  );
}

/** @param {unknown} given @param {string} where @returns {Record<string, number>} */
function numbers(given, where) {
  const known = Object.entries(object(given, where)).filter(([name]) => NUMBER_NAMES.includes(name));
  return Object.fromEntries(known.map(([name, value]) => [name, number(value, `${where}.${name}`)]));
}

/** @param {unknown} value @param {string} where @returns {Record<string, any>} */
function object(value, where) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw expected(where, value, "an object");
  return value;
}

/** @param {unknown} value @param {string} where @returns {unknown[]} */
function list(value, where) {
  if (!Array.isArray(value)) throw expected(where, value, "a list");
  return value;
}

/**
 * @template {string} Word
 * @param {readonly Word[]} words
 * @param {unknown} value
 * @param {string} where
 */
function oneOf(words, value, where) {
  const found = words.find((word) => word === value);
  if (!found) throw expected(where, value, words.join(", "));
  return found;
}

/** @param {unknown} value @param {string} where */
function text(value, where) {
  if (typeof value !== "string") throw expected(where, value, "a text");
  return value;
}

/** @param {unknown} value @param {string} where */
function number(value, where) {
  if (typeof value !== "number" || !Number.isFinite(value)) throw expected(where, value, "a number");
  return value;
}

/** @param {string} where @param {unknown} value @param {string} what */
function expected(where, value, what) {
  return new Error(`${where} is ${String(JSON.stringify(value)).slice(0, 40)}, expected ${what}.`);
}
