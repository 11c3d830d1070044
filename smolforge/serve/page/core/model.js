/**
 * What the page knows about the model behind the server: its name, context and whether it can think.
 */

import { json } from "./server.js";

/**
 * @typedef {object} Model
 * @property {string} name
 * @property {number} context positions for prompt and answer together; 0: unknown
 * @property {boolean} thinks whether it has a think mode
 */

/** @returns {Promise<Model>} */
export async function readModel() {
  const { data } = await json("v1/models");
  const { id, meta = {} } = data[0];
  return { name: id, context: meta.n_ctx ?? 0, thinks: Boolean(meta.thinks) };
}
