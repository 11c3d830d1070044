/**
 * Fields of an answer and their places in the text, linked: whichever is pointed at or focused, its other side lights
 * up. Elements name the fields they belong to in `data-paths` (JSON list of JSON pointers).
 */

/** @param {string[]} paths */
export const linkAttribute = (paths) => JSON.stringify(paths);

/** @param {HTMLElement} container */
export function linkFields(container) {
  const linked = () => /** @type {HTMLElement[]} */ ([...container.querySelectorAll("[data-paths]")]);

  /** @param {EventTarget | null} target */
  const light = (target) => {
    const origin =
      target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest("[data-paths]")) : null;
    const paths = origin ? pathsOf(origin) : [];
    for (const element of linked())
      element.classList.toggle(
        "is-linked",
        pathsOf(element).some((path) => paths.includes(path)),
      );
  };

  container.addEventListener("pointerover", (event) => light(event.target));
  container.addEventListener("pointerleave", () => light(document.activeElement));
  container.addEventListener("focusin", (event) => light(event.target));
  container.addEventListener("focusout", () => light(null));

  /** @param {EventTarget | null} target */
  const follow = (target) => {
    const origin =
      target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest("[data-paths]")) : null;
    if (!origin) return;
    const paths = pathsOf(origin);
    const other = linked().find(
      (element) => element.tagName !== origin.tagName && pathsOf(element).some((path) => paths.includes(path)),
    );
    other?.focus();
    other?.scrollIntoView({ block: "nearest" });
  };
  container.addEventListener("click", (event) => follow(event.target));
  container.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.target instanceof HTMLElement) || event.target.tagName !== "MARK") return;
    event.preventDefault();
    follow(event.target);
  });
}

/** @param {HTMLElement} element @returns {string[]} */
function pathsOf(element) {
  return JSON.parse(element.dataset.paths ?? "[]");
}
