// Every message as it comes, newest first; one click from its JSON.

import { el, icon, setText, show } from "./dom.js";
import { rawJSON } from "./feed.js";
import { author, count, displayName, duration, plural, time } from "./format.js";
import { schedule } from "./frame.js";
import { summary } from "./tables-view.js";
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
  #list = new VirtualTable({ rowHeight: 34, label: "Messages", className: ".messages", drawLine: (line, index) => this.#drawLine(line, index) });
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
    this.#list.element.addEventListener("click", (event) => this.#select(event.target.closest("tbody:not(.spacer) tr")));
    this.#list.element.addEventListener("keydown", (event) => this.#keyPressed(event));
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
    const { shown, received, isPaused, missed } = this.#feed;
    this.#list.count = shown.length;
    this.#list.refresh();
    const waiting = isPaused && missed > 0 ? ` · ${count(missed)} waiting` : "";
    setText(this.#count, `${plural(shown.length, "message")} of ${count(received)}${waiting}`);
  };

  #at(index) {
    const { shown } = this.#feed;
    return shown[shown.length - 1 - index];
  }

  #drawLine(line, index) {
    const message = this.#at(index);
    if (!message) return;
    const { timestamp, type, channel } = message;
    line.dataset.channel = channel;
    line.classList.toggle("selected", message === this.#selected);
    setText(line.cells[0], time(timestamp));
    setText(line.cells[1], type);
    setText(line.cells[2], sentence(message, this.#app.client.userId));
  }

  #select(line) {
    if (!line) return;
    this.#selected = this.#at(Number(line.getAttribute("aria-rowindex")) - 2);
    this.#drawDetail();
    schedule(this.#draw);
  }

  #keyPressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const { shown } = this.#feed;
    if (event.key === "Escape") this.#close();
    if (!step || !this.#selected) return;
    event.preventDefault();
    const next = shown[shown.indexOf(this.#selected) - step];
    if (!next) return;
    this.#selected = next;
    this.#drawDetail();
    schedule(this.#draw);
  }

  #drawDetail() {
    const text = rawJSON(this.#selected, 2);
    const close = el("button.icon-button", { type: "button", "aria-label": "Close", onclick: () => this.#close() }, icon("close"));
    const copy = el("button.small", { type: "button", onclick: () => navigator.clipboard?.writeText(text) }, "Copy");
    this.#detail.replaceChildren(el("header", el("h2", this.#selected.type), copy, close), el("pre.code", { tabindex: "0" }, text.slice(0, LONGEST_JSON)));
    show(this.#detail, true);
  }

  #close() {
    this.#selected = undefined;
    show(this.#detail, false);
    schedule(this.#draw);
  }

  #filtered() {
    this.#feed.filter({ channel: this.#channel.value, table: this.#table.value.slice(1), text: this.#text.value });
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

/** A message in a line of words. */
function sentence({ type, data }, ownId) {
  const who = data?.username || "someone";
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
