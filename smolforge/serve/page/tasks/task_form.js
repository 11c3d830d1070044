/**
 * What every task has: a form on one side, its outcome on the other; one request at a time, which can be stopped; its
 * cost, or what went wrong, in words.
 */

import { el, fill } from "../core/dom.js";
import { isAbort } from "../core/problem.js";
import { json } from "../core/server.js";
import { announce } from "../parts/announcer.js";
import { button } from "../parts/buttons.js";
import { inSeconds, whole } from "../chat/figures.js";

/**
 * @typedef {object} Task
 * @property {string} path of the route
 * @property {string} lead what the task does, in a sentence
 * @property {HTMLElement[]} fields
 * @property {string} action words of the button
 * @property {string} empty what stands in the outcome's place before the first run
 * @property {() => object} request the body, from the fields
 * @property {(result: any, asked: any) => HTMLElement[]} show elements for a result, and for what was asked
 */

/** @param {HTMLElement} section @param {Task} task */
export function startTask(section, task) {
  /** @type {AbortController | null} */
  let running = null;
  const run = el("button", { type: "submit", class: "button primary" }, task.action);
  const stop = button("Stop", () => running?.abort(), { hidden: true });
  const outcome = el(
    "div",
    { class: "outcome", role: "region", "aria-label": "Outcome" },
    el("p", { class: "quiet empty" }, task.empty),
  );
  const form = el(
    "form",
    { class: "task-form" },
    el("p", { class: "lead" }, task.lead),
    ...task.fields,
    el("div", { class: "row" }, run, stop),
  );
  fill(section, form, outcome);

  const show = async () => {
    if (running) return;
    running = new AbortController();
    run.disabled = true;
    stop.hidden = false;
    outcome.setAttribute("aria-busy", "true");
    try {
      const asked = task.request();
      const result = await json(task.path, asked, running.signal);
      fill(outcome, ...task.show(result, asked), costLine(result));
      announce("Done");
    } catch (error) {
      const message = isAbort(error) ? "Stopped." : /** @type {Error} */ (error).message;
      fill(outcome, el("p", { class: "turn-note problem", role: "alert" }, message));
    }
    running = null;
    run.disabled = false;
    stop.hidden = true;
    outcome.removeAttribute("aria-busy");
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void show();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    if (event.key === "Escape") running?.abort();
  });
}

/**
 * @param {string} label
 * @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} control
 * @param {...(HTMLElement | false)} below
 */
export function field(label, control, ...below) {
  control.classList.add("input");
  return el(
    "div",
    { class: "field" },
    el("label", { class: "field-label", for: control.id }, label),
    control,
    ...below,
  );
}

/** @param {any} result */
function costLine({ usage, timings }) {
  if (!usage) return null;
  const cached = usage.cached_tokens ?? usage.prompt_tokens_details?.cached_tokens ?? 0;
  const parts = [`${whole(usage.prompt_tokens)} tokens read, ${whole(cached)} of them cached`];
  if (usage.completion_tokens) parts.push(`${whole(usage.completion_tokens)} written`);
  if (timings) parts.push(inSeconds((timings.prompt ?? 0) + (timings.generation ?? 0)));
  return el("p", { class: "quiet cost" }, parts.join(" · "));
}
