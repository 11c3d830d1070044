/** The conversations kept in this browser: listed, searched, renamed, deleted, exported and imported. */

import { readFile, writeFile } from "../core/conversation_file.js";
import { byId, el, fill } from "../core/dom.js";
import { search } from "../core/search.js";
import { iconButton } from "../parts/buttons.js";
import { confirmDanger } from "../parts/dialogs.js";
import { notice } from "../parts/notice.js";

/** @typedef {import("../core/library.js").Conversation} Conversation */

const LARGEST_FILE = 100e6; // bytes

export class Sidebar {
  #list = byId("conversations", HTMLUListElement);
  #field = byId("search", HTMLInputElement);
  #file = byId("import-file", HTMLInputElement);

  /** @param {import("./chat.js").Chat} chat @param {(conversation: Conversation) => void} onOpen */
  constructor(chat, onOpen) {
    this.chat = chat;
    this.library = chat.library;
    this.onOpen = onOpen;
    this.library.addEventListener("change", () => this.draw());
    chat.addEventListener("open", () => this.draw());
    this.#field.addEventListener("input", () => this.draw());
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#list.querySelector("button")?.click();
    });
    byId("export-all", HTMLElement).addEventListener("click", () => this.#export(this.library.list()));
    byId("import", HTMLElement).addEventListener("click", () => this.#file.click());
    this.#file.addEventListener("change", () => this.#import());
    this.draw();
  }

  focusSearch() {
    this.#field.focus();
    this.#field.select();
  }

  draw() {
    if (this.#list.querySelector("form")) return; // a title is being written
    const query = this.#field.value;
    const found = search(this.library.list(), query);
    fill(this.#list, ...found.map(({ conversation, passage }) => this.#row(conversation, passage)));
    const none = query ? "Nothing found." : "Conversations will be listed here.";
    byId("search-outcome", HTMLElement).textContent = found.length ? "" : none;
  }

  /** @param {Conversation} conversation @param {string} passage */
  #row(conversation, passage) {
    const current = conversation.id === this.chat.conversation.id;
    const { title } = conversation;
    const open = el(
      "button",
      {
        type: "button",
        class: "conversation",
        "aria-current": current && "true",
        on: { click: () => this.onOpen(conversation) },
      },
      el("span", { class: "conversation-title" }, title),
      passage && el("span", { class: "passage" }, passage),
    );
    const row = el(
      "li",
      {},
      open,
      el(
        "span",
        { class: "row-actions" },
        iconButton("pencil", `Rename ${title}`, () => this.#rename(conversation, row)),
        iconButton("download", `Export ${title}`, () => this.#export([conversation])),
        iconButton("trash", `Delete ${title}`, () => this.#remove(conversation)),
      ),
    );
    return row;
  }

  /** @param {Conversation} conversation @param {HTMLElement} row */
  #rename(conversation, row) {
    const input = el("input", { class: "input", "aria-label": "Title", maxlength: 200 });
    input.value = conversation.title;
    let isDone = false; // removing a field that has the focus is also leaving it
    const done = (/** @type {boolean} */ keep) => {
      if (isDone) return;
      isDone = true;
      form.remove();
      if (keep && input.value.trim()) conversation.title = input.value.trim();
      void this.library.save(conversation, { touch: false });
      this.#list.querySelector(`[aria-current]`)?.scrollIntoView({ block: "nearest" });
    };
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      done(true);
    };
    const form = el("form", { on: { submit } }, input);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      done(false);
    });
    input.addEventListener("blur", () => done(true));
    fill(row, form);
    input.select();
  }

  /** @param {Conversation} conversation */
  async #remove(conversation) {
    const sure = await confirmDanger(
      "Delete this conversation?",
      `“${conversation.title}” is removed from this browser. This cannot be undone.`,
      "Delete",
    );
    if (!sure) return;
    if (conversation.id === this.chat.conversation.id) {
      this.chat.stop();
      this.chat.startNew();
    }
    await this.library.remove(conversation.id);
    this.focusSearch();
  }

  /** @param {Conversation[]} conversations */
  #export(conversations) {
    if (!conversations.length) return notice("There is nothing to export yet.");
    const url = URL.createObjectURL(new Blob([writeFile(conversations)], { type: "application/json" }));
    el("a", { href: url, download: `smolforge-${new Date().toISOString().slice(0, 10)}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  async #import() {
    const file = this.#file.files?.[0];
    this.#file.value = ""; // the same file can be chosen again
    if (!file) return;
    try {
      if (file.size > LARGEST_FILE) throw new Error("This file is larger than 100 MB.");
      const read = readFile(await file.text(), (id) => Boolean(this.library.get(id)));
      for (const conversation of read) await this.library.save(conversation, { touch: false });
      notice(read.length === 1 ? "One conversation was imported." : `${read.length} conversations were imported.`);
    } catch (error) {
      notice(`Nothing was imported. ${/** @type {Error} */ (error).message}`);
    }
  }
}
