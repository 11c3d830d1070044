/**
 * From a conversation to the body of `POST /v1/chat/completions`. What a person left empty is not sent: the server's
 * own defaults hold.
 */

/** @typedef {import("./tree.js").Turn} Turn */

/**
 * @typedef {object} Settings of one conversation
 * @property {string} system
 * @property {boolean} think
 * @property {Record<string, number>} numbers by field name of the API; absent: the server's default
 * @property {string} tools definitions as JSON text, "" for none
 * @property {"auto" | "required" | "none"} toolChoice whether the model may, must or must not call
 */

/** @returns {Settings} */
export function newSettings() {
  return { system: "", think: false, numbers: {}, tools: "", toolChoice: "auto" };
}

/** @param {Turn} turn */
function message(turn) {
  if (turn.role === "tool") return { role: "tool", tool_call_id: turn.callId, content: turn.content };
  if (turn.role === "user") return { role: "user", content: turn.content };
  const { reasoning = "", calls = [] } = turn.answer ?? {};
  return {
    role: "assistant",
    content: turn.content,
    ...(reasoning && { reasoning_content: reasoning }),
    ...(calls.length && { tool_calls: calls.map(({ id, ...called }) => ({ id, type: "function", function: called })) }),
  };
}

/**
 * @param {Turn[]} turns
 * @param {Settings} settings
 * @param {import("../core/model.js").Model} model
 */
export function chatRequest(turns, settings, model) {
  const says = (/** @type {Turn} */ turn) => turn.role !== "assistant" || turn.content || turn.answer?.calls.length;
  const messages = turns.filter(says).map(message);
  const system = settings.system.trim() && [{ role: "system", content: settings.system }];
  const { reasoning_budget: budget, ...numbers } = settings.numbers;
  const think = model.thinks && settings.think;
  const tools = parseTools(settings.tools);
  return {
    model: model.name,
    messages: [...(system || []), ...messages],
    stream: true,
    stream_options: { include_usage: true },
    ...numbers,
    ...(model.thinks && { chat_template_kwargs: { enable_thinking: think } }),
    ...(think && budget !== undefined && { reasoning_budget: budget }),
    ...(tools.length && { tools, tool_choice: settings.toolChoice }),
  };
}

/**
 * Read tool definitions; both `{"type": "function", "function": {…}}` and the bare `{"name": …}` are understood.
 * @param {string} text JSON: a list of definitions, or one; "" for none
 * @returns {{type: "function", function: {name: string, description?: string, parameters?: object}}[]}
 * @throws {Error} that says what is wrong
 */
export function parseTools(text) {
  if (!text.trim()) return [];
  const given = JSON.parse(text);
  return (Array.isArray(given) ? given : [given]).map((tool, at) => {
    const definition = tool?.function ?? tool;
    if (typeof definition?.name !== "string" || !definition.name) throw new Error(`Tool ${at + 1} has no "name".`);
    return { type: "function", function: definition };
  });
}
