// One table: its rows as they are now, or its schema; both live.

import { connect } from "/tablecast.js";
import { showCell } from "./cell-dialog.js";
import { ChangeList } from "./change-list.js";
import { el, icon, setText, show } from "./dom.js";
import { author, count, displayName, plural, quoted } from "./format.js";
import { schedule } from "./frame.js";
import { LiveRows } from "./live-rows.js";
import { ownQueryId, PagedRows } from "./paged-rows.js";
import { RowsTable } from "./rows-table.js";
import { SchemaView } from "./schema-view.js";
import { accessToken, fetchJSON } from "./service.js";
import { tone } from "./people.js";

const PAGE_ROWS = 100;
const LARGEST_SNAPSHOT_ROWS = 20_000;
const MOST_COLUMNS = 100;

export class TableView {
  #app;
  #name;
  #description;
  #source;
  #connection;
  #subscription;
  #page = 0;
  #abort;
  #expiry;
  #message = "";
  #title = el("h1");
  #count = el("span.quiet");
  #tabs = { rows: el("a", "Rows"), schema: el("a", "Schema") };
  #notice = el("p.notice", { role: "status", hidden: true });
  #pager = new Pager((page) => this.#turnTo(page));
  #rows = new RowsTable({
    onsort: (column) => this.#sort(column),
    onfocus: (row, column) => this.#moveCursor(row, column),
    onopen: (row, index) => showCell(this.#source.columns[index], row.values[index]),
  });
  #changes = new ChangeList();
  #schema = new SchemaView();
  #scroller = el("div.scroller", this.#rows.element);
  #rowsPane = el("div.rows-pane", el("div.sheet", this.#scroller, this.#pager.element), this.#changes.element);

  constructor(app) {
    this.#app = app;
    const back = el("a.back", { href: "#/tables", "aria-label": "All tables" }, icon("back"));
    this.element = el(
      "article.table-view",
      { hidden: true },
      el("header.title", back, this.#title, this.#count, el("nav.tabs", { "aria-label": "Table" }, Object.values(this.#tabs))),
      this.#notice,
      this.#rowsPane,
      this.#schema.element,
    );
    app.presence.on("change", this.#changed);
  }

  /** Shows a table; the same one again only changes the tab. */
  open(name, tab) {
    for (const [key, link] of Object.entries(this.#tabs)) {
      link.href = `#/tables/${encodeURIComponent(name)}/${key}`;
      if (key === tab) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    show(this.#rowsPane, tab === "rows");
    show(this.#schema.element, tab === "schema");
    show(this.element, true);
    if (name === this.#name) return;
    this.close();
    this.#name = name;
    this.#page = 0;
    show(this.element, true);
    setText(this.#title, displayName(name));
    this.#changes.clear();
    this.reload();
    this.#expiry = setInterval(() => this.#source?.hasMarks && this.#source.expire?.() && this.#changed(), 500);
  }

  close() {
    clearInterval(this.#expiry);
    this.#abort?.abort();
    this.#connection?.close();
    this.#source?.close?.();
    this.#connection = this.#subscription = this.#source = this.#description = this.#name = undefined;
    show(this.element, false);
  }

  get name() {
    return this.#name;
  }

  /** Reads the schema again, and the rows with it: the table is new, or no longer what it was. */
  async reload() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    const name = this.#name;
    try {
      await this.#app.heard;
      if (signal.aborted) return;
      this.#description = await fetchJSON(`/tables/${encodeURIComponent(this.#name)}`, signal);
      this.#schema.draw(this.#description);
      const isSmall = this.#description.kind === "table" && (await this.#isSmall(signal));
      if (signal.aborted || name !== this.#name) return;
      this.#startRows(isSmall);
      this.#say("");
    } catch (error) {
      if (signal.aborted) return;
      this.#say(error.message);
    }
  }

  dropped() {
    this.#connection?.close();
    this.#say("This table was dropped. What you see is its last state.");
  }

  /** A change heard on the page's main connection: enough where rows come page by page. */
  receive({ data }) {
    if (!this.#source) return;
    if (this.#source instanceof PagedRows && (data.tableName === this.#name || this.#description.kind !== "table")) this.#source.touch();
  }

  /** Whether the table fits into the page. The estimate may be far off: if it says no, or nothing, some rows are counted. */
  async #isSmall(signal) {
    const { rowEstimate } = this.#description;
    if (rowEstimate !== undefined && rowEstimate !== null && rowEstimate <= LARGEST_SNAPSHOT_ROWS) return true;
    const sql = `SELECT count(*) FROM (SELECT 1 FROM ${quoted(this.#name)} LIMIT ${LARGEST_SNAPSHOT_ROWS + 1})`;
    for await (const [rows] of this.#app.client.query(sql, { rowFormat: "arrays", signal, queryId: ownQueryId() })) return rows <= LARGEST_SNAPSHOT_ROWS;
    return false;
  }

  #startRows(isSmall) {
    this.#connection?.close();
    this.#source?.close?.();
    const names = this.#description.columns.filter((column) => !column.hidden).map((column) => column.name);
    if (isSmall) return this.#subscribe(names);
    this.#readByPage(names);
  }

  #readByPage(names) {
    this.#source = new PagedRows(this.#app.client, this.#name, names, this.#app.catalog.tables.get(this.#name)?.rows ?? 0);
    this.#source.onchange = this.#changed;
    this.#changed();
  }

  #subscribe(names) {
    const { client } = this.#app;
    const anew = (columns) => new LiveRows(columns, primaryKey(this.#description));
    const source = () => (this.#source instanceof LiveRows ? this.#source : (this.#source = anew(names)));
    // A connection of its own, because a channel has one subscription; without a name, because it is nobody else.
    this.#connection = connect("/ws", { accessToken });
    this.#subscription = this.#connection.subscribe("tables", { tables: [asPattern(this.#name)], rows: "values", snapshot: true });
    let next;
    this.#subscription.on("reset", () => (next = undefined));
    this.#subscription.on("snapshot", ({ tableName, columns, rows, last }) => {
      if (tableName !== this.#name) return;
      next ??= anew(columns.map((column) => column.name ?? column));
      next.load(rows);
      if (last) this.#replaceSource(next);
    });
    this.#subscription.on("message", ({ type, timestamp, data }) => {
      if (type !== "table:modified" || data.change !== "rows" || data.tableName !== this.#name) return;
      const who = author(data, client.userId);
      if (data.rowsOmitted) return this.#subscription.update(this.#subscription.options);
      for (const change of data.rows ?? []) {
        source().apply(change, who);
        this.#changes.add({ at: timestamp, who, change });
      }
      this.#changed();
    });
    this.#subscription.on("error", () => {
      this.#connection.close(); // this server gives no snapshots, or not of this table
      this.#readByPage(names);
    });
  }

  #replaceSource(source) {
    const { sort } = this.#source ?? source;
    source.sortBy(sort.column, sort.descending);
    this.#source = source;
    this.#app.catalog.counted(this.#name, source.count);
    this.#changed();
  }

  #sort(column) {
    const { sort } = this.#source;
    if (sort.column !== column) this.#source.sortBy(column, false);
    else if (!sort.descending) this.#source.sortBy(column, true);
    else this.#source.sortBy(undefined, false);
    this.#page = 0;
    this.#changed();
  }

  #turnTo(page) {
    this.#page = page;
    this.#scroller.scrollTop = 0;
    this.#changed();
  }

  #moveCursor(row, column) {
    this.#app.presence.moveCursor({ table: this.#name, row: this.#source.keyOf(row).slice(0, 500), column });
  }

  #say(message) {
    this.#message = message;
    setText(this.#notice, message);
    show(this.#notice, message !== "");
  }

  #changed = () => schedule(this.#draw);

  #draw = () => {
    const source = this.#source;
    if (!source) return setText(this.#count, "");
    const pages = Math.max(1, Math.ceil(source.total / PAGE_ROWS));
    this.#page = Math.min(this.#page, pages - 1);
    const first = this.#page * PAGE_ROWS;
    const rows = source.page(first, PAGE_ROWS);
    setText(this.#count, plural(source.count, "row"));
    if (source.error) this.#say(source.error.message);
    if (this.#rows.source !== source.columns) {
      this.#rows.source = source.columns;
      this.#columns = source.columns.slice(0, MOST_COLUMNS).map((name) => columnOf(this.#description, name));
      if (source.columns.length > MOST_COLUMNS) this.#say(`The first ${MOST_COLUMNS} of ${count(source.columns.length)} columns; a query shows any others.`);
    }
    this.#rows.draw({
      columns: this.#columns,
      rows,
      first,
      sort: source.sort,
      keyOf: (row) => source.keyOf(row),
      cursors: this.#cursors(),
    });
    this.#pager.draw(this.#page, pages, first, rows.length, source.total);
    this.#changes.draw();
  };

  #columns = [];

  #cursors() {
    const { presence, client } = this.#app;
    return [...presence.people.values()]
      .filter(({ userId, cursor }) => userId !== client.userId && cursor?.table === this.#name)
      .map(({ userId, username, cursor }) => ({ key: cursor.row, column: cursor.column, username, tone: tone(userId) }));
  }
}

class Pager {
  #range = el("span.quiet", { "aria-live": "off" });
  #previous = el("button.icon-button", { type: "button", "aria-label": "Previous page" }, icon("back"));
  #next = el("button.icon-button", { type: "button", "aria-label": "Next page" }, icon("next"));
  #page = 0;

  constructor(onturn) {
    this.#previous.addEventListener("click", () => onturn(this.#page - 1));
    this.#next.addEventListener("click", () => onturn(this.#page + 1));
    this.element = el("footer.pager", this.#range, this.#previous, this.#next);
  }

  draw(page, pages, first, shown, total) {
    this.#page = page;
    setText(this.#range, total === 0 ? "No rows" : `${count(first + 1)}–${count(first + shown)} of ${count(total)}`);
    this.#previous.disabled = page === 0;
    this.#next.disabled = page >= pages - 1;
  }
}

/** A name as the pattern that matches it alone. */
const asPattern = (name) => (/[*?[]/.test(name) ? name.replace(/[*?[]/g, "[$&]") : name);

function columnOf({ columns }, name) {
  const column = columns.find((each) => each.name === name);
  return { name, type: column?.type, key: column?.primaryKey > 0 };
}

function primaryKey({ columns }) {
  return columns.filter((column) => column.primaryKey).sort((one, other) => one.primaryKey - other.primaryKey).map((column) => column.name);
}
