/** A message over the page that goes by itself or with a click: what an action did, or why it failed. */

import { byId } from "../core/dom.js";

const SECONDS = 8;
let timer = 0;

/** @param {string} message */
export function notice(message) {
  const place = byId("notice", HTMLElement);
  place.textContent = message;
  place.hidden = false;
  place.onclick = () => (place.hidden = true);
  clearTimeout(timer);
  timer = window.setTimeout(() => (place.hidden = true), SECONDS * 1000);
}
