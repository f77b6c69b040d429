// The result of the query that was run last: rows as they arrive, in a table that doesn't mind a million of them.

import { showCell } from "./cell-dialog.js";
import { el, icon, setText, show } from "./dom.js";
import { saveCSV, saveJSON } from "./export.js";
import { bytes, count, displayName, duration, plural, valueKind, valueText } from "./format.js";
import { VirtualCursor } from "./virtual-cursor.js";
import { VirtualTable } from "./virtual-table.js";

export const ROW_HEIGHT = 30;
const SAMPLED_ROWS = 60;
export const MOST_COLUMNS = 200;

/** What the page keeps of results, by an estimate that was held against Chromium's heap: more would take a tab down. */
const MOST_BYTES = 400_000_000;
const ROW_BYTES = 32;
const VALUE_BYTES = 4; // a reference; what it refers to comes on top

export class Results {
  #sets = [];
  #shown = 0;
  #alignments = [];
  #bytes = 0;
  #status = el("p.result-status", { role: "status" });
  #tabs = el("div.result-tabs", { role: "group", "aria-label": "Results of the statements", hidden: true });
  #note = el("p.result-note.quiet");
  #csv = el("button.small", { type: "button", onclick: () => this.#save(saveCSV) }, icon("down"), "CSV");
  #json = el("button.small", { type: "button", onclick: () => this.#save(saveJSON) }, icon("down"), "JSON");
  #exports = el("span.exports", { hidden: true }, this.#csv, this.#json);
  #table = new VirtualTable({ rowHeight: ROW_HEIGHT, label: "Result", className: ".result", drawLine: (line, index) => this.#drawLine(line, index) });

  #plan = el("div.plan-box", { hidden: true, tabindex: "0", role: "region", "aria-label": "Query plan" });

  constructor() {
    this.element = el("section.results", { hidden: true }, el("header", this.#status, this.#tabs, this.#exports, this.#note), this.#plan, this.#table.element);
    new VirtualCursor(this.#table, () => ({ first: 1, count: this.#alignments.length }), { onopen: (row, cell) => this.#open(row, cell - 1) });
    show(this.#table.element, false);
  }

  hide() {
    show(this.element, false);
  }

  /** @param isSent whether it runs now; else it will once the server is there */
  start(isSent) {
    this.#sets = [];
    this.#shown = 0;
    this.#bytes = 0;
    show(this.element, true);
    show(this.#table.element, false);
    show(this.#plan, false);
    show(this.#exports, false);
    show(this.#tabs, false);
    this.#tabs.replaceChildren();
    setText(this.#note, "");
    this.#table.count = 0;
    this.#table.scrollToTop();
    this.#say(isSent ? "Running…" : "Waiting for the connection…", "running");
  }

  /** Whether as much is kept as the page can hold; what comes then is not taken any more. */
  get isFull() {
    return this.#bytes > MOST_BYTES;
  }

  add({ statementIndex, columns, rows }) {
    let set = this.#sets.find((each) => each.statementIndex === statementIndex);
    if (!set) {
      set = { statementIndex, columns, rows: [] };
      this.#sets.push(set);
      if (this.#sets.length > 1) this.#drawTabs();
    }
    for (const row of rows) {
      set.rows.push(row);
      this.#bytes += ROW_BYTES;
      for (const value of row) this.#bytes += VALUE_BYTES + sizeOf(value);
    }
    if (set !== this.#sets[this.#shown]) return;
    if (set.rows.length === rows.length) this.#showSet(this.#shown);
    this.#table.count = set.rows.length;
  }

  progress({ rowCount, elapsed, message }) {
    this.#say([plural(rowCount, "row"), duration(elapsed), message].filter(Boolean).join(" · "), "running");
  }

  complete({ rowCount, duration: took, changes, truncated, inTransaction }) {
    const parts = [rowCount > 0 || this.#sets.length > 0 ? plural(rowCount, "row") : undefined, changes > 0 ? plural(changes, "change") : undefined];
    const said = parts.filter(Boolean).join(", ") || "Done";
    this.#say(`${said} · ${duration(took)}${truncated ? " · truncated at the limit" : ""}${inTransaction ? " · a transaction is open" : ""}`, "complete");
    show(this.#exports, this.#sets.length > 0);
    this.#table.refresh();
  }

  /** @param tree of a query plan, in place of rows */
  plan(tree) {
    this.#plan.replaceChildren(tree);
    show(this.#plan, true);
    this.#say("Query plan", "complete");
  }

  /** Shows that the rest was not read. */
  full() {
    const kept = this.#sets.reduce((sum, { rows }) => sum + rows.length, 0);
    this.#say(`The first ${plural(kept, "row")}, about ${bytes(this.#bytes)}, which is the limit of the page. Use LIMIT, or the command tablecast query, to get other rows.`, "cancelled");
    show(this.#exports, true);
    this.#table.refresh();
  }

  fail(message, kind = "error") {
    this.#say(message, kind);
    show(this.#exports, this.#sets.length > 0);
  }

  #say(text, kind) {
    setText(this.#status, text);
    this.#status.dataset.kind = kind;
  }

  #drawTabs() {
    show(this.#tabs, true);
    this.#sets.forEach((set, index) => {
      const tab = this.#tabs.children[index] ?? this.#tabs.appendChild(el("button.small", { type: "button", onclick: () => this.#showSet(index) }));
      setText(tab, `Statement ${set.statementIndex + 1}`);
      tab.setAttribute("aria-pressed", String(index === this.#shown));
    });
  }

  #showSet(index) {
    this.#shown = index;
    const { columns, rows } = this.#sets[index];
    const shown = columns.slice(0, MOST_COLUMNS);
    setText(this.#note, columns.length > MOST_COLUMNS ? `The first ${MOST_COLUMNS} of ${count(columns.length)} columns; CSV and JSON contain all of them.` : "");
    const layout = shown.map((name, column) => columnFor(name, rows, column));
    this.#alignments = layout.map(({ className }) => className);
    this.#table.setColumns([{ title: "", width: "4.5rem", className: "gutter" }, ...layout]);
    show(this.#table.element, true);
    this.#table.count = rows.length;
    this.#table.refresh();
    if (this.#sets.length > 1) this.#drawTabs();
  }

  #drawLine(line, index) {
    const row = this.#sets[this.#shown].rows[index];
    const last = line.cells.length - 1;
    [...line.cells].forEach((cell, column) => {
      if (column === last) return;
      if (column === 0) {
        cell.className = "gutter";
        return setText(cell, count(index + 1));
      }
      cell.className = `${valueKind(row[column - 1])} ${this.#alignments[column - 1]}`;
      setText(cell, valueText(row[column - 1]));
    });
  }

  #open(row, column) {
    const { columns, rows } = this.#sets[this.#shown];
    showCell(columns[column], rows[row][column]);
  }

  #save(save) {
    save("result", this.#sets[this.#shown]);
  }
}

/** Bytes that a value takes beside its reference; small whole numbers take none. */
function sizeOf(value) {
  switch (typeof value) {
    case "string":
      return 16 + value.length;
    case "number":
      return Number.isInteger(value) && Math.abs(value) < 2 ** 30 ? 0 : 12;
  }
  return value === null ? 0 : 64 + (value.length ?? 0);
}

/** As wide as what its first rows hold, within reason; `column` is where a row has the value. */
export function columnFor(name, rows, column) {
  let longest = displayName(name).length + 1;
  for (const row of rows.slice(0, SAMPLED_ROWS)) longest = Math.max(longest, valueText(row[column]).length);
  const isNumber = rows.length > 0 && rows.slice(0, SAMPLED_ROWS).every((row) => ["number", "null"].includes(valueKind(row[column])));
  return { title: displayName(name), width: `${Math.min(44, Math.max(7, 1.12 * longest + 4))}ch`, className: isNumber ? "numeric" : "" };
}
