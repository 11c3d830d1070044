/** Figures in words: what a turn cost, in tokens, seconds and shares. */

/** @param {number} count */
export const whole = (count) => Math.round(count).toLocaleString("en");

/** @param {number} seconds */
export const inSeconds = (seconds) => `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;

/** @param {number} share 0 to 1 */
export const percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.095 ? 1 : 0)}%`;

/**
 * @param {import("./answer.js").Cost} cost
 * @param {number} context positions of the model; 0: unknown
 * @returns {[string, string][]} short text and its explanation
 */
export function costFigures(cost, context) {
  const used = cost.prompt + cost.completion;
  /** @type {[string, string][]} */
  const figures = [[`${whole(cost.completion)} tokens`, `The answer has ${whole(cost.completion)} tokens.`]];
  if (cost.tokensPerSecond)
    figures.push([`${whole(cost.tokensPerSecond)} tok/s`, "Tokens per second while generating."]);
  figures.push([
    `${whole(cost.cached)} of ${whole(cost.prompt)} cached`,
    `Of ${whole(cost.prompt)} prompt tokens, ${whole(cost.cached)} were known from before and not computed again.`,
  ]);
  if (context)
    figures.push([`context ${percent(used / context)}`, `${whole(used)} of ${whole(context)} positions are used.`]);
  return figures;
}
