/**
 * The server this page came from: paths and JSON in, JSON or a stream of chunks out. Nothing else is ever asked.
 */

import { Problem, connectionProblem, problemOf } from "./problem.js";
import { eventData } from "./sse.js";

const KEY = "smolforge.key";

export const apiKey = {
  /** Kept until the tab is closed. @param {string} key */
  set: (key) => sessionStorage.setItem(KEY, key),
  get: () => sessionStorage.getItem(KEY) ?? "",
};

/** @type {() => Promise<boolean>} */
let askForKey = async () => false;

/** Say what to do where the server wants a key: set one and return true, or return false. @param {() => Promise<boolean>} ask */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/**
 * @param {string} path relative to the page
 * @param {unknown} [body] sent as JSON with POST; without it, GET
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>} a response with a status below 300; throws `Problem` otherwise
 */
async function request(path, body, signal) {
  for (;;) {
    const response = await send(path, body, signal);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (!problem.needsKey || !(await askForKey())) throw problem;
  }
}

/** @param {string} path @param {unknown} body @param {AbortSignal} [signal] */
async function send(path, body, signal) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (apiKey.get()) headers["Authorization"] = `Bearer ${apiKey.get()}`;
  const method = body === undefined ? "GET" : "POST";
  const text = body === undefined ? undefined : JSON.stringify(body);
  try {
    return await fetch(path, { method, headers, body: text, signal, credentials: "omit", cache: "no-store" });
  } catch (error) {
    throw connectionProblem(error);
  }
}

/**
 * @param {string} path
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function json(path, body, signal) {
  const response = await request(path, body, signal);
  try {
    return await response.json();
  } catch (error) {
    throw connectionProblem(error);
  }
}

/**
 * Yield the chunks of a streamed answer. Throws `Problem` when the server reports one, or the stream ends unannounced.
 * @param {string} path
 * @param {unknown} body
 * @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<any>}
 */
export async function* chunks(path, body, signal) {
  const response = await request(path, body, signal);
  if (!response.body) throw new Problem("The server sent an empty answer.");
  try {
    for await (const data of eventData(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Problem(chunk.error.message ?? "The server stopped with an error.", { status: 500 });
      yield chunk;
    }
  } catch (error) {
    if (error instanceof TypeError) throw lost();
    throw error instanceof SyntaxError ? new Problem("The server sent something that is not an answer.") : error;
  }
  throw lost();
}

function lost() {
  return new Problem("The connection was lost. What had arrived is kept.");
}
