// Keyboard shortcuts, and the dialog that lists them.

import { el } from "./dom.js";
import { recall, remember } from "./storage.js";

const SHORTCUTS = [
  ["1 – 4", "Tables, Queries, Feed, People"],
  ["/", "Find a table"],
  ["j  k", "Next and previous table"],
  ["s", "Rows or schema of the open table"],
  ["Ctrl Enter", "Run the query or the selected part"],
  ["Ctrl Space", "Complete a word in the editor"],
  ["Esc", "Cancel the running query; leave the editor"],
  ["Space", "Pause or resume the feed"],
  ["↑ ↓ ← →", "Move between cells"],
  ["Enter", "Show a cell in full"],
  ["F2", "Edit a cell in place"],
  ["Delete", "Delete the row"],
  ["Ctrl Z", "Undo your last edit"],
  ["Alt Enter", "Follow a foreign key"],
  ["t", "Light, dark or system theme"],
  ["?", "This help"],
];

/** Users of speech input, or users who hit keys by accident, can switch them off (WCAG 2.1.4). */
const SINGLE_KEYS = "single-keys";

const ROUTES = { 1: "#/tables", 2: "#/queries", 3: "#/feed", 4: "#/people" };

/** @param actions functions for `find`, `step(by)`, `toggleTab`, `run`, `escape`, `pause`, `theme`; those that return false were not meant */
export function installShortcuts(actions) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return act(event, actions.run);
    if (event.key === "Escape") return actions.escape(event);
    if (event.ctrlKey || event.metaKey || event.altKey || !isForThePage(event.target) || !recall(SINGLE_KEYS, true)) return;
    if (ROUTES[event.key]) return act(event, () => void (location.hash = ROUTES[event.key]));
    const keys = { "/": actions.find, j: () => actions.step(1), k: () => actions.step(-1), s: actions.toggleTab, t: actions.theme, "?": showHelp, " ": actions.pause };
    if (event.key === " " && event.target.closest("a")) return;
    if (keys[event.key]) act(event, keys[event.key]);
  });
}

function act(event, action) {
  if (action() !== false) event.preventDefault();
}

/** Ignores keys in a field, and keys that a focused button handles. */
const isForThePage = (target) => !target.closest?.("input, textarea, select, button, summary, label, [contenteditable]");

export function showHelp() {
  const close = el("button.primary", { type: "button", onclick: () => dialog.close() }, "Close");
  const singleKeys = el("input", { type: "checkbox", checked: recall(SINGLE_KEYS, true), onchange: () => remember(SINGLE_KEYS, singleKeys.checked) });
  const keys = (text) => text.split(/(\s+|–)/).map((part) => (/^\s*$|–/.test(part) ? part : el("kbd", part)));
  const dialog = el(
    "dialog.help",
    { "aria-label": "Keyboard shortcuts", onclose: () => dialog.remove() },
    el("header", el("h2", "Keyboard shortcuts")),
    el("dl.details", SHORTCUTS.map(([key, what]) => [el("dt", keys(key)), el("dd", what)]).flat()),
    el("label.check.single-keys", singleKeys, "Single-character shortcuts"),
    el("footer", el("a.link", { href: "/tablecast.js" }, "JavaScript client"), el("a.link", { href: "/tablecast.d.ts" }, "its types"), close),
  );
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
