/** Light, dark, or as the system is set; the choice is kept in this browser. Colours: `light-dark()` in base.css. */

import { byId } from "../core/dom.js";

const KEY = "smolforge.theme";
const THEMES = /** @type {const} */ (["system", "light", "dark"]);

export function startTheme() {
  const button = byId("theme", HTMLButtonElement);
  const root = document.documentElement;
  const name = () => {
    const label = `Theme: ${root.dataset.theme}`;
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.findIndex((theme) => theme === root.dataset.theme) + 1) % THEMES.length];
    root.dataset.theme = next;
    localStorage.setItem(KEY, next);
    name();
  });
  name();
}
