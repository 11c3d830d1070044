/**
 * What went wrong, in words for people: a response of the server, or the lack of one, in; a `Problem` out.
 */

export class Problem extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, retryAfter?: number}} [about] status: HTTP status, 0 where no answer came;
   *   retryAfter: seconds
   */
  constructor(message, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.name = "Problem";
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the server asks for an API key. */
  get needsKey() {
    return this.status === 401;
  }

  /** Whether the same request may succeed a little later. */
  get isBusy() {
    return this.status === 429 || this.status === 503;
  }
}

/**
 * Read the problem a response carries.
 * @param {Response} response
 */
export async function problemOf(response) {
  const text = await response.text().catch(() => "");
  const said = messageIn(text) || `The server answered ${response.status} ${response.statusText}`.trim() + ".";
  const seconds = Number(response.headers.get("Retry-After"));
  const retryAfter = Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : 2;
  return new Problem(said, { status: response.status, retryAfter });
}

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * Turn what `fetch` threw into a `Problem`; aborts are passed on as they are.
 * @param {unknown} error
 */
export function connectionProblem(error) {
  if (isAbort(error) || error instanceof Problem) return error;
  return new Problem("The server cannot be reached. Is it still running?");
}

/** @param {string} text */
function messageIn(text) {
  try {
    const body = JSON.parse(text);
    const message = body?.error?.message ?? body?.error ?? body?.detail;
    return typeof message === "string" ? message : "";
  } catch {
    return "";
  }
}
