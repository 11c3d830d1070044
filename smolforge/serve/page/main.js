/** The page starts here: the model is asked for, stored conversations are read, and the parts are put together. */

import { Library } from "./core/library.js";
import { byId, el, fill } from "./core/dom.js";
import { readModel } from "./core/model.js";
import { onKeyNeeded } from "./core/server.js";
import { Chat } from "./chat/chat.js";
import { Composer } from "./chat/composer.js";
import { SettingsPanel } from "./chat/settings_panel.js";
import { Sidebar } from "./chat/sidebar.js";
import { ThreadView } from "./chat/thread_view.js";
import { ToolsPanel } from "./chat/tools_panel.js";
import { startWelcome } from "./chat/welcome.js";
import { button } from "./parts/buttons.js";
import { askForKey, showShortcuts } from "./parts/dialogs.js";
import { Drawer } from "./parts/drawer.js";
import { icon } from "./parts/icons.js";
import { startKeys } from "./parts/keys.js";
import { startTabs } from "./parts/tabs.js";
import { startTheme } from "./parts/theme.js";
import { startClassify } from "./tasks/classify.js";
import { startExtract } from "./tasks/extract.js";
import { startSummarize } from "./tasks/summarize.js";

/** @typedef {import("./core/model.js").Model} Model */

const NARROW = "(max-width: 860px)";
const NARROW_PANEL = "(max-width: 1180px)";

function drawIcons() {
  for (const element of document.querySelectorAll("[data-icon]")) {
    element.prepend(icon(/** @type {import("./parts/icons.js").IconName} */ (element.getAttribute("data-icon"))));
    if (element.classList.contains("icon-button"))
      element.setAttribute("title", element.getAttribute("aria-label") ?? "");
  }
}

/** Ask until the server answers; the person decides when to try again. @returns {Promise<Model>} */
async function modelOrRetry() {
  for (;;) {
    try {
      return await readModel();
    } catch (error) {
      await retryAsked(/** @type {Error} */ (error).message);
    }
  }
}

/** @param {string} message @returns {Promise<void>} */
function retryAsked(message) {
  const welcome = byId("welcome", HTMLElement);
  welcome.hidden = false;
  return new Promise((resolve) => {
    const again = button("Try again", () => resolve(), { class: "button primary" });
    fill(welcome, el("h2", {}, "No answer from the server"), el("p", { role: "alert" }, message), again);
  });
}

/** @param {Chat} chat @param {() => void} showChat */
function startRouting(chat, showChat) {
  const follow = () => {
    const id = /^#\/chat\/(\w+)$/.exec(location.hash)?.[1];
    const stored = id && id !== chat.conversation.id && chat.library.get(id);
    if (!stored) return;
    showChat();
    chat.open(stored);
  };
  const remember = () => {
    if (chat.turns.length) history.replaceState(null, "", `#/chat/${chat.conversation.id}`);
  };
  chat.addEventListener("open", () =>
    history.pushState(null, "", chat.turns.length ? `#/chat/${chat.conversation.id}` : "#/chat"),
  );
  chat.addEventListener("change", remember);
  addEventListener("popstate", follow);
  follow();
}

async function start() {
  drawIcons();
  startTheme();
  onKeyNeeded(askForKey);
  const [library, model] = await Promise.all([Library.open(), modelOrRetry()]);
  const chat = new Chat(library, model);
  byId("model-name", HTMLElement).textContent = model.name;
  startParts(chat);
}

/** @param {Chat} chat */
function startParts(chat) {
  const sidebarDrawer = new Drawer(byId("sidebar", HTMLElement), NARROW);
  const panelDrawer = new Drawer(byId("panel", HTMLElement), NARROW_PANEL);
  if (sidebarDrawer.narrow.matches) sidebarDrawer.close();

  const views = startTabs(byId("view-tabs", HTMLElement), (tab) => tab.id === "tab-tasks" && panelDrawer.close());
  const tasks = startTabs(byId("task-tabs", HTMLElement));
  const panels = startTabs(byId("panel-tabs", HTMLElement));
  const tab = (/** @type {string} */ name) => byId(`tab-${name}`, HTMLElement);
  const showChat = () => views.choose(tab("chat"));
  const showTasks = () => views.choose(tab("tasks"));
  showChat();
  tasks.choose(tab("extract"));
  panels.choose(tab("settings"));

  const toolsPanel = new ToolsPanel(chat);
  new SettingsPanel(chat);
  const openPanel = (/** @type {"settings" | "tools"} */ name) => {
    showChat();
    const shown = panelDrawer.isOpen && tab(name).getAttribute("aria-selected") === "true";
    if (shown) return panelDrawer.close();
    panels.choose(tab(name));
    panelDrawer.open();
  };
  const thread = new ThreadView(chat, (call) => {
    panels.choose(tab("tools"));
    panelDrawer.open(toolsPanel.resultField(call));
  });
  const composer = new Composer(chat);
  const startNew = () => {
    showChat();
    if (sidebarDrawer.liesOver) sidebarDrawer.close();
    chat.startNew();
    composer.focus();
  };
  const sidebar = new Sidebar(chat, (conversation) => {
    showChat();
    if (sidebarDrawer.liesOver) sidebarDrawer.close();
    chat.open(conversation);
  });
  const openSearch = () => {
    sidebarDrawer.open();
    sidebar.focusSearch();
  };

  const extract = startExtract(byId("task-extract", HTMLElement));
  const classify = startClassify(byId("task-classify", HTMLElement));
  startSummarize(byId("task-summarize", HTMLElement));
  startWelcome(chat, {
    ask: (text) => composer.send(text),
    openTask: (name) => {
      showTasks();
      tasks.choose(tab(name));
      ({ extract, classify })[name].showExample();
    },
  });

  /** @type {import("./parts/keys.js").Shortcut[]} */
  const shortcuts = [
    { keys: "Enter", meaning: "Send the message" },
    { keys: "Shift Enter", meaning: "New line" },
    { keys: "Esc", meaning: "Stop the answer", act: () => chat.stop() },
    { keys: "Ctrl K", meaning: "Search conversations", act: openSearch },
    { keys: "Alt N", meaning: "New conversation", act: startNew },
    { keys: "Alt M", meaning: "Go to the message field", act: () => (showChat(), composer.focus()) },
    { keys: "Alt E", meaning: "Edit the last message", act: () => thread.editLast() },
    { keys: "Alt R", meaning: "Regenerate the last answer", act: () => regenerateLast(chat) },
    { keys: "Alt S", meaning: "Settings", act: () => openPanel("settings") },
    { keys: "Alt T", meaning: "Tools", act: () => openPanel("tools") },
    { keys: "Alt 1", meaning: "Chat", act: showChat },
    { keys: "Alt 2", meaning: "Tasks", act: showTasks },
    { keys: "?", meaning: "This list", act: () => help() },
  ];
  const help = () => showShortcuts(shortcuts.map(({ keys, meaning }) => [keys, meaning]));
  startKeys(shortcuts);

  const on = (/** @type {string} */ id, /** @type {() => void} */ act) =>
    byId(id, HTMLElement).addEventListener("click", act);
  on("help", help);
  on("new-conversation", startNew);
  on("toggle-sidebar", () => sidebarDrawer.toggle());
  on("close-sidebar", () => sidebarDrawer.close());
  on("toggle-settings", () => openPanel("settings"));
  on("toggle-tools", () => openPanel("tools"));
  on("close-panel", () => panelDrawer.close());
  startRouting(chat, showChat);
  composer.focus();
}

/** @param {Chat} chat */
function regenerateLast(chat) {
  const last = chat.turns.findLast((turn) => turn.role === "assistant");
  if (last && !chat.isBusy) void chat.regenerate(last);
}

await start();
