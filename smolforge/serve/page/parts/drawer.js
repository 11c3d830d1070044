/**
 * The two side areas. On a wide window they stand beside the middle; on a narrow one they lie over it, take the focus,
 * make the rest inert, and close with Escape or a click beside them.
 */

import { byId } from "../core/dom.js";

export class Drawer {
  /** @type {Drawer[]} */
  static #all = [];
  /** @type {HTMLElement | null} */
  #before = null;

  /**
   * @param {HTMLElement} element
   * @param {string} narrow media query under which it lies over the middle
   * @param {() => void} [onToggle]
   */
  constructor(element, narrow, onToggle = () => {}) {
    this.element = element;
    this.narrow = matchMedia(narrow);
    this.onToggle = onToggle;
    Drawer.#all.push(this);
    this.narrow.addEventListener("change", () => Drawer.#settle());
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || !this.liesOver) return;
      event.preventDefault(); // this Escape stops no answer
      this.close();
    });
    byId("backdrop", HTMLElement).addEventListener("click", () => this.liesOver && this.close());
  }

  get isOpen() {
    return !this.element.hidden;
  }

  get liesOver() {
    return this.isOpen && this.narrow.matches;
  }

  /** @param {HTMLElement} [focus] what to focus; where it lies over, its first control otherwise */
  open(focus) {
    if (!this.isOpen) this.#before = /** @type {HTMLElement | null} */ (document.activeElement);
    this.element.hidden = false;
    Drawer.#settle();
    const first = this.narrow.matches ? this.element.querySelector("button, input, textarea") : null;
    (focus ?? /** @type {HTMLElement | null} */ (first))?.focus();
    this.onToggle();
  }

  close() {
    if (!this.isOpen) return;
    const hadFocus = this.element.contains(document.activeElement);
    this.element.hidden = true;
    Drawer.#settle();
    if (hadFocus) this.#before?.focus();
    this.onToggle();
  }

  toggle() {
    if (this.isOpen) this.close();
    else this.open();
  }

  static #settle() {
    const over = Drawer.#all.find((drawer) => drawer.liesOver);
    byId("backdrop", HTMLElement).hidden = !over;
    byId("middle", HTMLElement).inert = Boolean(over);
    for (const drawer of Drawer.#all) drawer.element.inert = Boolean(over) && drawer !== over;
  }
}
