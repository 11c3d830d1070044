/**
 * The conversations kept in this browser: all in memory, each written to IndexedDB when it changes.
 * Events: "change" when the list or a conversation changed.
 */

/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {number} created milliseconds since 1970
 * @property {number} updated
 * @property {import("../chat/request.js").Settings} settings
 * @property {import("../chat/tree.js").Tree} tree
 */

const STORE = "conversations";

export class Library extends EventTarget {
  /** @type {Map<string, Conversation>} */
  #all = new Map();

  /** @param {IDBDatabase | null} database null: nothing outlives the page */
  constructor(database) {
    super();
    this.database = database;
  }

  /** Open the browser's database; where it has none (some private windows), conversations live as long as the page. */
  static async open() {
    const database = await openDatabase().catch(() => null);
    const library = new Library(database);
    if (database) {
      const stored = await finished(database.transaction(STORE).objectStore(STORE).getAll());
      for (const conversation of stored) library.#all.set(conversation.id, conversation);
    }
    return library;
  }

  /** @param {string} id */
  get(id) {
    return this.#all.get(id);
  }

  /** Newest first. */
  list() {
    return [...this.#all.values()].sort((a, b) => b.updated - a.updated);
  }

  /** @param {Conversation} conversation @param {{touch?: boolean}} [how] touch: it moves to the top of the list */
  async save(conversation, { touch = true } = {}) {
    if (touch) conversation.updated = Date.now();
    this.#all.set(conversation.id, conversation);
    this.dispatchEvent(new Event("change"));
    await this.#write((store) => store.put(conversation));
  }

  /** @param {string} id */
  async remove(id) {
    this.#all.delete(id);
    this.dispatchEvent(new Event("change"));
    await this.#write((store) => store.delete(id));
  }

  /** @param {(store: IDBObjectStore) => IDBRequest} change */
  async #write(change) {
    if (!this.database) return;
    await finished(change(this.database.transaction(STORE, "readwrite").objectStore(STORE)));
  }
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  const opening = indexedDB.open("smolforge", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "id" });
  return finished(opening);
}

/**
 * @template Result
 * @param {IDBRequest<Result>} request
 * @returns {Promise<Result>}
 */
function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
