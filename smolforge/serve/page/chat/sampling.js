/** What can be set about how an answer is sampled: field names of the API, with words and bounds for the form. */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} hint
 * @property {number} min
 * @property {number} max
 * @property {number} step
 */

/** @type {Field[]} */
export const SAMPLING = [
  {
    name: "temperature",
    label: "Temperature",
    hint: "0 takes the likeliest token; higher varies more",
    min: 0,
    max: 2,
    step: 0.05,
  },
  {
    name: "top_p",
    label: "Top p",
    hint: "only the likeliest tokens that sum up to this",
    min: 0.01,
    max: 1,
    step: 0.01,
  },
  { name: "top_k", label: "Top k", hint: "only this many tokens; 0: all", min: 0, max: 100000, step: 1 },
  {
    name: "min_p",
    label: "Min p",
    hint: "only tokens at least this likely beside the likeliest",
    min: 0,
    max: 0.99,
    step: 0.01,
  },
  {
    name: "seed",
    label: "Seed",
    hint: "the same seed gives the same answer",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
  },
  { name: "max_tokens", label: "Longest answer", hint: "in tokens, reasoning included", min: 1, max: 1000000, step: 1 },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    hint: "1: none; above: what was said becomes unlikely",
    min: 0.01,
    max: 5,
    step: 0.01,
  },
  {
    name: "presence_penalty",
    label: "Presence penalty",
    hint: "taken once from what the answer has said",
    min: -2,
    max: 2,
    step: 0.1,
  },
  {
    name: "frequency_penalty",
    label: "Frequency penalty",
    hint: "taken each time the answer has said it",
    min: -2,
    max: 2,
    step: 0.1,
  },
];

/** @type {Field} */
export const BUDGET = {
  name: "reasoning_budget",
  label: "Budget",
  hint: "reasoning tokens at most",
  min: 0,
  max: 1000000,
  step: 1,
};

export const NUMBER_NAMES = [...SAMPLING, BUDGET].map(({ name }) => name);
