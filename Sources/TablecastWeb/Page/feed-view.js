// Every message as it comes, newest first; one click from its JSON.

import { el, icon, setText, show } from "./dom.js";
import { rawJSON } from "./feed.js";
import { author, count, cut, displayName, duration, plural, time } from "./format.js";
import { schedule } from "./frame.js";
import { isNamed } from "./people.js";
import { summary } from "./tables-view.js";
import { VirtualCursor } from "./virtual-cursor.js";
import { VirtualTable } from "./virtual-table.js";

const CHANNELS = ["tables", "queries", "collaboration", "notifications"];
const LONGEST_JSON = 100_000;

export class FeedView {
  #app;
  #feed;
  #channel = el("select", { "aria-label": "Channel", onchange: () => this.#filtered() }, el("option", { value: "" }, "All channels"), CHANNELS.map((name) => el("option", { value: name }, name)));
  #table = el("select", { "aria-label": "Table", onchange: () => this.#filtered() });
  #text = el("input", { type: "search", placeholder: "Text in the message", "aria-label": "Text", oninput: () => this.#filtered() });
  #values = el("input", { type: "checkbox", onchange: () => this.#app.setRowLevel(this.#values.checked ? "values" : "none") });
  #pause = el("button", { type: "button", "aria-pressed": "false", onclick: () => this.togglePause() }, icon("pause"), el("span", "Pause"));
  #count = el("span.quiet", { "aria-live": "off" });
  #list = new VirtualTable({ rowHeight: 34, label: "Messages", className: ".messages", drawLine: (element, index, line) => this.#drawLine(element, index, line) });
  #cursor = new VirtualCursor(this.#list, undefined, { onmove: (row) => this.#select(row), onopen: () => this.#drawDetail() });
  #appended = 0;
  #detail = el("aside.message-detail", { hidden: true, "aria-label": "Message" });
  #selected;
  #tableNames = "";
  #isVisible = false;

  constructor(root, app) {
    this.#app = app;
    this.#feed = app.feed;
    root.append(
      el(
        "div.feed-view",
        el(
          "header.filters",
          el("h1.visually-hidden", "Feed"),
          this.#channel,
          this.#table,
          this.#text,
          el("label.check", this.#values, "Row values"),
          this.#pause,
          el("button", { type: "button", onclick: () => this.#feed.clear() }, "Clear"),
          this.#count,
        ),
        el("div.feed-panes", this.#list.element, this.#detail),
      ),
    );
    this.#list.setColumns([
      { title: "Time", width: "6.2rem" },
      { title: "Type", width: "11rem" },
      { title: "What happened", width: "auto" },
    ]);
    root.addEventListener("keydown", (event) => this.#keyPressed(event));
    this.#feed.onchange = () => this.#isVisible && schedule(this.#draw);
    this.#drawTableNames();
  }

  show() {
    this.#isVisible = true;
    this.#drawTableNames();
    schedule(this.#draw);
  }

  hide() {
    this.#isVisible = false;
  }

  tablesChanged() {
    this.#drawTableNames();
  }

  togglePause() {
    this.#feed.pause(!this.#feed.isPaused);
    this.#pause.setAttribute("aria-pressed", String(this.#feed.isPaused));
    setText(this.#pause.lastElementChild, this.#feed.isPaused ? "Resume" : "Pause");
  }

  #draw = () => {
    const { shown, appended, received, isPaused, missed } = this.#feed;
    this.#list.count = shown.length;
    this.#list.added(appended - this.#appended);
    this.#appended = appended;
    this.#drawSelection();
    this.#list.refresh();
    const waiting = isPaused && missed > 0 ? ` · ${count(missed)} waiting` : "";
    setText(this.#count, `${plural(shown.length, "message")} of ${count(received)}${waiting}`);
  };

  #at(index) {
    const { shown } = this.#feed;
    return shown[shown.length - 1 - index];
  }

  #drawLine(element, index, line) {
    const entry = this.#at(index);
    line.entry = entry;
    if (!entry) return;
    const { timestamp, type, channel } = entry.message;
    element.dataset.channel = channel;
    element.classList.toggle("selected", entry.number === this.#selected?.number);
    setText(element.cells[0], time(timestamp));
    setText(element.cells[1], type);
    setText(element.cells[2], sentence(entry.message, this.#app.client.userId));
  }

  /** What a line shows may be further down by now: it is the message drawn there that was meant. */
  #select(index) {
    this.#selected = this.#list.lineAt(index)?.entry ?? this.#at(index);
    if (!this.#detail.hidden) this.#drawDetail();
    schedule(this.#draw);
  }

  /** Where the selected message is by now. */
  #drawSelection() {
    const { shown } = this.#feed;
    const place = this.#selected ? indexOf(shown, this.#selected.number) : -1;
    this.#cursor.place = place < 0 ? undefined : { row: shown.length - 1 - place, column: 0 };
  }

  #keyPressed(event) {
    if (event.key === "Escape" && !this.#detail.hidden) this.#close();
  }

  #drawDetail() {
    const { message } = this.#selected;
    const text = rawJSON(message, 2);
    const close = el("button.icon-button", { type: "button", "aria-label": "Close", onclick: () => this.#close() }, icon("close"));
    const copy = el("button.small", { type: "button", onclick: () => navigator.clipboard?.writeText(text) }, "Copy");
    this.#detail.replaceChildren(el("header", el("h2", message.type), copy, close), el("pre.code", { tabindex: "0" }, cut(text, LONGEST_JSON)));
    show(this.#detail, true);
  }

  #close() {
    show(this.#detail, false);
    this.#list.element.focus();
  }

  #filtered() {
    this.#feed.filter({ channel: this.#channel.value, table: this.#table.value, text: this.#text.value });
    this.#list.scrollToTop();
  }

  /** Values bear a mark in front, so that a table with an empty name differs from all tables. */
  #drawTableNames() {
    const names = [...this.#app.catalog.tables.keys()];
    if (names.join("\u0000") === this.#tableNames && this.#table.options.length > 0) return;
    this.#tableNames = names.join("\u0000");
    const chosen = this.#table.value;
    this.#table.replaceChildren(el("option", { value: "" }, "All tables"), ...names.map((name) => el("option", { value: `=${name}` }, displayName(name).slice(0, 60))));
    this.#table.value = chosen;
  }
}

/** The place of the entry with a number; they are in order. */
function indexOf(entries, number) {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle].number < number) low = middle + 1;
    else high = middle;
  }
  return entries[low]?.number === number ? low : -1;
}

/** A message in a line of words. */
function sentence({ type, data }, ownId) {
  const comesOrGoes = type === "user:joined" || type === "user:left";
  const who = isNamed(data ?? {}) ? data.username : comesOrGoes ? "an unnamed connection" : "a user";
  switch (type) {
    case "query:started":
      return `${who}: ${data.sql.replace(/\s+/g, " ").slice(0, 200)}`;
    case "query:progress":
      return `${data.progress === undefined ? "" : `${Math.round(data.progress)} %, `}${plural(data.rowCount, "row")}, ${duration(data.elapsed)}`;
    case "query:complete":
      return `${plural(data.rowCount, "row")}, ${plural(data.changes ?? 0, "change")}, ${duration(data.duration)}`;
    case "query:error":
      return data.error;
    case "query:cancelled":
      return `${data.reason} after ${duration(data.duration)}`;
    case "user:joined":
      return `${who} is here`;
    case "user:left":
      return `${who} left`;
    case "user:list":
      return `${plural(data.users.length, "person", "people")} here`;
    case "user:cursor":
      return data.table === undefined ? `${who} at line ${(data.position?.line ?? 0) + 1} of the editor` : `${who} in ${displayName(data.table)}`;
    case "error":
      return `${data.code}: ${data.message}`;
    case "connection:ack":
      return `connected to ${data.database ?? "the database"}`;
    case "subscribed":
      return `${data.channel}${data.recovered === undefined ? "" : data.recovered ? ", nothing was missed" : ", changes were missed"}`;
  }
  if (type.startsWith("table:")) return `${author(data, ownId)} ${summary(type, data)[1]} ${displayName(data.tableName)}`;
  return "";
}
