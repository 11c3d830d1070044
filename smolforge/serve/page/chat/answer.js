/**
 * An answer as it arrives: chunks of the OpenAI stream in, the turn they make out. No DOM, no network.
 */

/**
 * @typedef {object} ToolCall
 * @property {string} id
 * @property {string} name
 * @property {string} arguments JSON text
 */

/**
 * @typedef {object} Cost what one answer took
 * @property {number} prompt tokens of the prompt
 * @property {number} cached of those, how many came from the cache
 * @property {number} completion tokens of the answer, reasoning included
 * @property {number} reasoning of those, how many were reasoning
 * @property {number} tokensPerSecond while generating; 0: unknown
 */

/**
 * @typedef {object} Answer what an assistant's turn holds beside its content
 * @property {string} reasoning
 * @property {number} reasoningSeconds from the first piece of reasoning to the first of what follows; 0: none yet
 * @property {ToolCall[]} calls
 * @property {string} finish "" while it is being made; "stop", "length", "tool_calls", …
 * @property {Cost | null} cost
 */

/** @returns {Answer} */
export function newAnswer() {
  return { reasoning: "", reasoningSeconds: 0, calls: [], finish: "", cost: null };
}

/** Adds chunks to a turn and measures how long it reasons. */
export class AnswerReader {
  #reasoningSince = 0;

  /** @param {{content: string}} turn to fill @param {Answer} answer its other part */
  constructor(turn, answer) {
    this.turn = turn;
    this.answer = answer;
  }

  /**
   * @param {any} chunk one `chat.completion.chunk`
   * @param {number} now milliseconds of any steady clock
   */
  take(chunk, now) {
    const choice = chunk.choices?.[0];
    if (choice) this.#takeDelta(choice.delta ?? {}, now);
    if (choice?.finish_reason) {
      this.#endReasoning(now);
      this.answer.finish = choice.finish_reason;
    }
    if (chunk.usage) this.answer.cost = costOf(chunk.usage, chunk.timings);
  }

  /** @param {any} delta @param {number} now */
  #takeDelta(delta, now) {
    const reasoning = delta.reasoning_content ?? delta.reasoning; // the server sends both names with one text
    if (reasoning) {
      this.#reasoningSince ||= now;
      this.answer.reasoning += reasoning;
    }
    if (delta.content || delta.tool_calls) this.#endReasoning(now);
    if (delta.content) this.turn.content += delta.content;
    for (const part of delta.tool_calls ?? []) this.#takeCall(part);
  }

  /** @param {number} now */
  #endReasoning(now) {
    if (!this.#reasoningSince || this.answer.reasoningSeconds) return;
    this.answer.reasoningSeconds = Math.max(now - this.#reasoningSince, 1) / 1000;
  }

  /** @param {{index?: number, id?: string, function?: {name?: string, arguments?: string}}} part */
  #takeCall(part) {
    const { calls } = this.answer;
    const at = part.index ?? calls.length;
    const call = (calls[at] ??= { id: "", name: "", arguments: "" });
    call.id ||= part.id ?? "";
    call.name += part.function?.name ?? "";
    call.arguments += part.function?.arguments ?? "";
  }
}

/**
 * @param {any} usage as in OpenAI's API
 * @param {any} [timings] as llama.cpp's server reports them
 * @returns {Cost}
 */
export function costOf(usage, timings) {
  return {
    prompt: usage.prompt_tokens ?? 0,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    completion: usage.completion_tokens ?? 0,
    reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
    tokensPerSecond: timings?.predicted_per_second ?? 0,
  };
}
