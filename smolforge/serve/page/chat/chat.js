/**
 * Conversations with the model: what a person does in, requests to the server and changed turns out. No DOM.
 * Events: "change" (which turns are shown), "turn" (`detail`: a turn whose answer grew or ended), "choose" (`detail`:
 * the turn of another branch), "open" (another conversation is shown).
 */

import { Problem, isAbort } from "../core/problem.js";
import { chunks } from "../core/server.js";
import { AnswerReader, newAnswer } from "./answer.js";
import { chatRequest, newSettings } from "./request.js";
import { addTurn, branches, newId, newTree, openCalls, shownTurns, turnsBefore } from "./tree.js";

/** @typedef {import("./tree.js").Turn} Turn */
/** @typedef {import("../core/library.js").Conversation} Conversation */

const TRIES = 20; // while the server is busy
const SAVE_EVERY = 1000; // milliseconds, while an answer grows
const TITLE_LENGTH = 60;

export class Chat extends EventTarget {
  /** @type {Map<string, AbortController>} */
  #running = new Map(); // by conversation id

  /** @param {import("../core/library.js").Library} library @param {import("../core/model.js").Model} model */
  constructor(library, model) {
    super();
    this.library = library;
    this.model = model;
    this.conversation = newConversation(newSettings());
  }

  /** Whether the conversation that is shown is being answered. */
  get isBusy() {
    return this.#running.has(this.conversation.id);
  }

  get turns() {
    return shownTurns(this.conversation.tree);
  }

  /** Show a new conversation; it keeps the settings of the one before, and is stored with its first message. */
  startNew() {
    this.open(newConversation(structuredClone(this.conversation.settings)));
  }

  /** @param {Conversation} conversation */
  open(conversation) {
    this.conversation = conversation;
    this.#emit("open");
    this.#emit("change");
  }

  /** Settings were edited in place. */
  async saveSettings() {
    if (this.library.get(this.conversation.id)) await this.library.save(this.conversation, { touch: false });
  }

  /** @param {string} text */
  async send(text) {
    const { conversation } = this;
    const last = this.turns.at(-1);
    if (!conversation.title) conversation.title = titleOf(text);
    const turn = addTurn(conversation.tree, last?.id ?? "", { role: "user", content: text });
    await this.#answer(conversation, turn);
  }

  /** Ask again for the answer in `turn`, beside the old one. @param {Turn} turn */
  async regenerate(turn) {
    const before = turnsBefore(this.conversation.tree, turn).at(-1);
    if (before) await this.#answer(this.conversation, before);
  }

  /** Say `text` instead of what a person wrote in `turn`, beside it. @param {Turn} turn @param {string} text */
  async edit(turn, text) {
    const { conversation } = this;
    const { role, callId } = turn;
    const edited = addTurn(conversation.tree, turn.parent, { role, content: text, ...(callId && { callId }) });
    await this.#answerWhenComplete(conversation, edited);
  }

  /** The result of a call, as a person gave it. @param {import("./answer.js").ToolCall} call @param {string} text */
  async giveResult(call, text) {
    const { conversation } = this;
    const last = this.turns.at(-1);
    if (!last) return;
    const result = addTurn(conversation.tree, last.id, { role: "tool", content: text, callId: call.id });
    await this.#answerWhenComplete(conversation, result);
  }

  /** Show the branch `step` places beside `turn`. @param {Turn} turn @param {number} step */
  choose(turn, step) {
    const { tree } = this.conversation;
    const beside = branches(tree, turn.parent);
    const next = beside[beside.indexOf(turn) + step];
    if (!next) return;
    tree.chosen[turn.parent] = next.id;
    this.#emit("change");
    this.#emit("choose", next);
    void this.library.save(this.conversation, { touch: false });
  }

  stop() {
    this.#running.get(this.conversation.id)?.abort();
  }

  /** An answer that was not finished and is not being made: the page was closed on it. @param {Turn} turn */
  wasInterrupted(turn) {
    return Boolean(turn.answer && !turn.answer.finish && !turn.problem && !this.isBusy);
  }

  /** The model answers once every call has its result. @param {Conversation} conversation @param {Turn} turn */
  async #answerWhenComplete(conversation, turn) {
    const open = openCalls([...turnsBefore(conversation.tree, turn), turn]);
    if (turn.role === "user" || !open.length) return this.#answer(conversation, turn);
    this.#emit("change");
    await this.library.save(conversation);
  }

  /** @param {Conversation} conversation @param {Turn} before the turn to answer */
  async #answer(conversation, before) {
    const asked = [...turnsBefore(conversation.tree, before), before];
    const turn = addTurn(conversation.tree, before.id, { role: "assistant", content: "", answer: newAnswer() });
    const abort = new AbortController();
    this.#running.set(conversation.id, abort);
    this.#emit("change");
    void this.library.save(conversation);
    try {
      const body = chatRequest(asked, conversation.settings, this.model);
      await this.#whenFree(turn, abort.signal, () => this.#stream(conversation, turn, body, abort.signal));
    } catch (error) {
      endWith(turn, error);
    }
    delete turn.waiting;
    this.#running.delete(conversation.id);
    this.#emit("turn", turn);
    this.#emit("change");
    await this.library.save(conversation);
  }

  /** @param {Conversation} conversation @param {Turn} turn @param {unknown} body @param {AbortSignal} signal */
  async #stream(conversation, turn, body, signal) {
    const reader = new AnswerReader(turn, turn.answer ?? newAnswer());
    const saveSoon = atMostEvery(SAVE_EVERY, () => this.library.save(conversation, { touch: false }));
    for await (const chunk of chunks("v1/chat/completions", body, signal)) {
      reader.take(chunk, performance.now());
      this.#emit("turn", turn);
      saveSoon();
    }
  }

  /** Try again, as long after a refusal as the server says. @param {Turn} turn @param {AbortSignal} signal @param {() => Promise<void>} attempt */
  async #whenFree(turn, signal, attempt) {
    for (let tries = 1; ; tries++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof Problem && error.isBusy) || turn.content || tries === TRIES) throw error;
        turn.waiting = `The server is busy. Trying again in ${error.retryAfter} s.`;
        this.#emit("turn", turn);
        await sleep(error.retryAfter * 1000, signal);
        delete turn.waiting;
      }
    }
  }

  /** @param {string} type @param {Turn} [detail] */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {import("./request.js").Settings} settings @returns {Conversation} */
function newConversation(settings) {
  return { id: newId(), title: "", created: Date.now(), updated: Date.now(), settings, tree: newTree() };
}

/** @param {string} text */
function titleOf(text) {
  const line = text.trim().split("\n", 1)[0];
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH).trimEnd()}…` : line;
}

/** @param {Turn} turn @param {unknown} error */
function endWith(turn, error) {
  if (isAbort(error)) {
    if (turn.answer) turn.answer.finish = "stopped";
  } else {
    turn.problem = error instanceof Error ? error.message : String(error);
  }
}

/**
 * A function that does `act` within `milliseconds`, once for all calls until then.
 * @param {number} milliseconds
 * @param {() => void} act
 */
function atMostEvery(milliseconds, act) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    setTimeout(() => {
      waits = false;
      act();
    }, milliseconds);
  };
}

/** @param {number} milliseconds @param {AbortSignal} signal */
function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
