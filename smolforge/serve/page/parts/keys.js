/** Keyboard shortcuts: one table, used for listening and for the list a person sees. */

/**
 * @typedef {object} Shortcut
 * @property {string} keys as people read them, a space between keys; the last one is listened for
 * @property {string} meaning
 * @property {() => void} [act] absent: the key belongs to a field, and is only listed
 */

/** @param {Shortcut[]} shortcuts */
export function startKeys(shortcuts) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const shortcut = shortcuts.find(({ keys, act }) => act && matches(event, keys.split(" ")));
    if (!shortcut?.act) return;
    event.preventDefault();
    shortcut.act();
  });
}

/** @param {KeyboardEvent} event @param {string[]} keys */
function matches(event, keys) {
  const key = keys[keys.length - 1];
  const wants = (/** @type {string} */ modifier) => keys.includes(modifier);
  if (key === "?") return event.key === "?" && !isWriting(event.target);
  if (
    (event.ctrlKey || event.metaKey) !== wants("Ctrl") ||
    event.altKey !== wants("Alt") ||
    event.shiftKey !== wants("Shift")
  )
    return false;
  return key === "Esc" ? event.key === "Escape" : event.code === (/\d/.test(key) ? `Digit${key}` : `Key${key}`);
}

/** @param {EventTarget | null} target */
function isWriting(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}
