// A query that is followed: its rows as they are, what came, changed and left marked, and how far behind they are.

import { showCell } from "./cell-dialog.js";
import { Chart } from "./chart.js";
import { el, icon, setText, show } from "./dom.js";
import { saveCSV, saveJSON } from "./export.js";
import { count, duration, plural, valueKind, valueText } from "./format.js";
import { schedule } from "./frame.js";
import { LiveResult } from "./live-result.js";
import { columnFor, MOST_COLUMNS, ROW_HEIGHT } from "./results.js";
import { VirtualCursor } from "./virtual-cursor.js";
import { VirtualTable } from "./virtual-table.js";
import { areEqual } from "./values.js";

const EXPIRY_MS = 500;
const SIGNS = { insert: "+", update: "~", delete: "−" };
const NAMES = { insert: "entered", update: "changed", delete: "left" };
const MOST_POSITIONS = 1_000;

export class LiveResults {
  #client;
  #live;
  #model;
  #end;
  #expiry;
  /** When the feed of tables reported commits that the query has not reached, by their numbers. */
  #commits = new Map();
  #lag;
  #columns = [];
  #layout = [];
  #status = el("p.live-status", { role: "status" });
  #position = el("span.figure", { title: "The rows are exact as of this commit" });
  #behind = el("span.figure", { title: "From a commit's report in the feed of tables to its changes in this result" });
  #plan = el("span.figure");
  #chartKind = el("select", { "aria-label": "Chart", onchange: () => this.#chartChosen() }, [["", "No chart"], ["bars", "Bars"], ["line", "Line"]].map(([value, text]) => el("option", { value }, text)));
  #chart = new Chart();
  #csv = el("button.small", { type: "button", onclick: () => this.#save(saveCSV) }, icon("down"), "CSV");
  #json = el("button.small", { type: "button", onclick: () => this.#save(saveJSON) }, icon("down"), "JSON");
  #tools = el("span.exports", { hidden: true }, this.#chartKind, this.#csv, this.#json);
  #note = el("p.result-note.quiet");
  #table = new VirtualTable({ rowHeight: ROW_HEIGHT, label: "Live result", className: ".live", drawLine: (line, index) => this.#drawLine(line, index) });

  constructor(client) {
    this.#client = client;
    const figures = el("p.live-figures", this.#position, this.#behind, this.#plan);
    this.element = el("section.live-results", { hidden: true, "aria-label": "Live result" }, el("header", this.#status, figures, this.#tools, this.#note), this.#chart.element, this.#table.element);
    new VirtualCursor(this.#table, () => ({ first: 1, count: this.#layout.length }), { onopen: (row, cell) => this.#open(row, cell - 1) });
    client.on("message", ({ channel, position }) => channel === "tables" && position !== undefined && this.#committed(position));
    client.on("state", this.#draw);
  }

  /** Follows a query; resolves with its number of rows when it has them, rejects where it cannot be followed. */
  async follow(sql, params, { onend }) {
    this.stop();
    this.#end = undefined;
    this.#commits.clear();
    this.#lag = undefined;
    this.#columns = [];
    this.#layout = [];
    show(this.element, true);
    show(this.#table.element, false);
    show(this.#tools, false);
    this.#table.count = 0;
    this.#table.scrollToTop();
    this.#chart.draw([], []);
    const live = (this.#live = this.#client.live(sql, params));
    this.#model = new LiveResult(live, this.#draw);
    live.on("reached", () => this.#reached());
    live.on("change", () => this.#reached());
    live.on("live", this.#draw);
    live.on("error", this.#draw);
    live.on("end", (error) => {
      this.#end = error ?? this.#end;
      clearInterval(this.#expiry);
      this.#draw();
      if (error && live.isLive) onend(error);
    });
    this.#expiry = setInterval(() => this.#model.expire(), EXPIRY_MS);
    this.#draw();
    return (await live.ready).length;
  }

  /** What is shown stays as it is. */
  stop() {
    this.#live?.close();
    clearInterval(this.#expiry);
  }

  get isFollowing() {
    return this.#live !== undefined && !this.#live.isEnded;
  }

  hide() {
    this.stop();
    show(this.element, false);
  }

  // MARK: Lag

  #committed(position) {
    if (!this.isFollowing || !isBehind(this.#live.position, position)) return;
    const number = numberOf(position);
    if (!this.#commits.has(number)) this.#commits.set(number, performance.now());
    if (this.#commits.size > MOST_POSITIONS) this.#commits.delete(this.#commits.keys().next().value);
    schedule(this.#drawNow);
  }

  #reached() {
    const { position } = this.#live;
    if (position === undefined) return;
    const number = numberOf(position);
    this.#lag = 0; // unless the feed was quicker
    for (const [commit, at] of this.#commits) {
      if (commit > number) break;
      if (commit === number) this.#lag = performance.now() - at;
      this.#commits.delete(commit);
    }
    this.#draw();
  }

  // MARK: Drawing

  #draw = () => schedule(this.#drawNow);

  #drawNow = () => {
    if (!this.#live) return;
    this.#drawStatus();
    if (!this.#live.isLive) return;
    show(this.#tools, true);
    // Who reads further down goes on reading the same rows.
    const place = this.#table.firstInSight;
    const first = this.#table.atTop ? undefined : this.#drawn[place];
    const kept = first && this.#model.current(first);
    const { rows, columns } = this.#model;
    this.#drawn = rows;
    if (!areEqual(columns, this.#columns)) this.#setColumns(columns, rows);
    this.#table.count = rows.length;
    const now = kept === undefined ? -1 : rows.indexOf(kept);
    if (now >= 0 && now !== place) this.#table.added(now - place);
    this.#table.refresh();
    this.#chart.draw(columns, this.#live.rows, this.#live.key);
  };

  #drawn = [];

  #drawStatus() {
    const { isLive, plan, reason, position, rows } = this.#live;
    const isEnded = !this.isFollowing;
    const isAway = this.#client.state !== "open" || this.#live.error !== undefined;
    const state = isEnded ? "stopped" : isAway ? "not connected" : isLive ? "live" : "reading";
    const kind = this.#end ? "error" : isEnded || isAway ? "cancelled" : isLive ? "live" : "running";
    setText(this.#status, this.#end ? `${this.#end.message}${isLive ? "; these are the last rows" : ""}` : isLive ? `${plural(rows.length, "row")} · ${state}` : isAway ? "Waiting for the connection…" : "Reading…");
    this.#status.dataset.kind = kind;
    const behind = isBehind(position, this.#client.position) ? numberOf(this.#client.position) - numberOf(position) : 0;
    setText(this.#position, position === undefined ? "" : `position ${count(numberOf(position))}`);
    this.#position.dataset.position = position ?? "";
    setText(this.#behind, isEnded || !isLive || isAway ? "" : behind > 0 ? `${plural(behind, "commit")} behind` : this.#lag === undefined ? "up to date" : `lag ${duration(this.#lag)}`);
    setText(this.#plan, plan === undefined ? "" : plan === "rerun" ? "runs again" : plan);
    this.#plan.title = plan === "rerun" ? `The query runs again when its tables change: ${reason ?? "it is not of a kind that is kept incrementally"}` : "Each commit costs what it changed";
  }

  #setColumns(columns, rows) {
    this.#columns = columns;
    const shown = columns.slice(0, MOST_COLUMNS);
    setText(this.#note, columns.length > MOST_COLUMNS ? `The first ${MOST_COLUMNS} of ${count(columns.length)} columns; CSV and JSON have them all.` : "");
    this.#layout = shown.map((name) => columnFor(name, rows, name));
    this.#table.setColumns([{ title: "", width: "4.5rem", className: "gutter" }, ...this.#layout]);
    show(this.#table.element, true);
  }

  #drawLine(line, index) {
    const row = this.#drawn[index];
    const mark = this.#model.markOf(row);
    line.className = mark ? NAMES[mark.op] : "";
    const [gutter, ...cells] = line.cells;
    gutter.className = mark ? `gutter mark-${mark.op}` : "gutter";
    setText(gutter, mark ? SIGNS[mark.op] : count(index + 1));
    gutter.title = mark ? NAMES[mark.op] : "";
    this.#layout.forEach(({ className }, place) => {
      const name = this.#columns[place];
      const value = row[name];
      cells[place].className = `${valueKind(value)} ${className}${mark?.cells?.has(name) ? " changed-cell" : ""}`;
      setText(cells[place], valueText(value));
    });
  }

  #chartChosen() {
    this.#chart.kind = this.#chartKind.value;
    this.#draw();
  }

  #open(index, column) {
    const row = this.#drawn[index];
    if (row) showCell(this.#columns[column], row[this.#columns[column]]);
  }

  #save(save) {
    const { columns, rows } = this.#live;
    save("result", { columns, rows: rows.map((row) => columns.map((name) => row[name])) });
  }
}

const numberOf = (position) => Number(position.slice(position.lastIndexOf(":") + 1));
const epochOf = (position) => position.slice(0, position.lastIndexOf(":"));
const isBehind = (position, newest) => position !== undefined && newest !== undefined && epochOf(position) === epochOf(newest) && numberOf(position) < numberOf(newest);
