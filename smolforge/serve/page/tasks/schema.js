/** What a person writes as a schema: the short form, which the server reads, or JSON Schema. */

/**
 * @param {string} text
 * @returns {unknown} the text itself for the short form, an object for JSON Schema
 */
export function readSchema(text) {
  return text.trim().startsWith("{") ? JSON.parse(text) : text.trim();
}

/** Say how a schema is understood. @param {string} text @returns {{message: string, isWrong: boolean}} */
export function describeSchema(text) {
  if (!text.trim())
    return { message: "Fields by commas: name, age int, tags [str]. Or a JSON Schema.", isWrong: false };
  try {
    const schema = readSchema(text);
    if (typeof schema === "string")
      return {
        message: "Short form: str, int, float, bool, span (copied from the text), [str] for lists.",
        isWrong: false,
      };
    const names = Object.keys(/** @type {any} */ (schema).properties ?? {});
    return { message: `JSON Schema${names.length ? `: ${names.join(", ")}` : ""}.`, isWrong: false };
  } catch {
    return { message: "This is not JSON yet.", isWrong: true };
  }
}
