// One table: its rows as they are now, or its schema; both live.

import { showCell } from "./cell-dialog.js";
import { ChangeList } from "./change-list.js";
import { el, icon, setText, show } from "./dom.js";
import { count, displayName, plural } from "./format.js";
import { schedule } from "./frame.js";
import { OpenTable } from "./open-table.js";
import { Pager } from "./pager.js";
import { tone } from "./people.js";
import { RowsTable } from "./rows-table.js";
import { SchemaView } from "./schema-view.js";
import { areEqual } from "./values.js";

const PAGE_ROWS = 100;
const MOST_COLUMNS = 100;
const LONGEST_ROW_KEY = 500;
const EXPIRY_MS = 500;
const ABOUT = { exact: "", estimate: "about ", atLeast: "more than " };

export class TableView {
  #app;
  #table;
  #page = 0;
  #expiry;
  #cursor;
  #title = el("h1");
  #count = el("span.quiet");
  #tabs = { rows: el("a", "Rows"), schema: el("a", "Schema") };
  #notice = el("p.notice", { role: "status", hidden: true });
  #pager = new Pager((page) => this.#turnTo(page));
  #rows = new RowsTable({
    onsort: (column) => this.#sort(column),
    onfocus: (row, column) => this.#moveCursor(row, column),
    onopen: (row, index) => showCell(this.#table.source.columns[index], row.values[index]),
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
    if (name === this.name) return;
    this.close();
    show(this.element, true);
    setText(this.#title, displayName(name));
    this.#table = new OpenTable(this.#app, name, {
      ondescribed: () => this.#described(),
      onchange: this.#changed,
      onlisted: (entry) => this.#changes.add(entry),
    });
    this.#table.load();
    this.#expiry = setInterval(() => this.#table.source?.hasMarks && this.#table.source.expire() && this.#changed(), EXPIRY_MS);
  }

  /** Nothing of this table must be seen under another one's name. */
  close() {
    clearInterval(this.#expiry);
    this.#leaveCell();
    this.#table?.close();
    this.#table = undefined;
    this.#page = 0;
    this.#drawn = undefined;
    this.#rows.clear();
    this.#pager.clear();
    this.#changes.clear();
    this.#schema.clear();
    setText(this.#count, "");
    show(this.#notice, false);
    show(this.element, false);
  }

  get name() {
    return this.#table?.name;
  }

  /** Reads the schema again, and the rows with it: the table is new, or no longer what it was. */
  reload() {
    this.#table?.load();
  }

  dropped() {
    this.#table.dropped();
  }

  resume() {
    this.#table?.resume();
  }

  tellCount() {
    this.#table?.tellCount();
  }

  /** A change heard on the page's main connection. */
  receive({ data }) {
    this.#table?.receive(data.tableName);
  }

  #described() {
    this.#schema.draw(this.#table.description);
    show(this.#changes.element, this.#table.tellsChanges);
    this.#rowsPane.classList.toggle("alone", !this.#table.tellsChanges);
    this.#drawn = undefined; // a column may be of another type now
  }

  #sort(column) {
    const { source } = this.#table;
    if (source.sort.column !== column) source.sortBy(column, false);
    else if (!source.sort.descending) source.sortBy(column, true);
    else source.sortBy(undefined, false);
    this.#page = 0;
    this.#changed();
  }

  #turnTo(page) {
    this.#page = page;
    this.#scroller.scrollTop = 0;
    this.#changed();
  }

  #moveCursor(row, column) {
    this.#cursor = { table: this.name, row: this.#table.source.keyOf(row)?.slice(0, LONGEST_ROW_KEY), column };
    this.#app.presence.moveCursor(this.#cursor);
  }

  /** The others need not see a cursor where nobody is any more. */
  #leaveCell() {
    if (this.#cursor) this.#app.presence.moveCursor({ table: this.#cursor.table });
    this.#cursor = undefined;
  }

  #changed = () => schedule(this.#draw);

  /** The columns that the table was drawn with. */
  #drawn;
  #columns = [];

  #draw = () => {
    if (!this.#table) return;
    this.#drawNotice();
    const { source } = this.#table;
    if (!source) return;
    const pages = Math.max(1, Math.ceil(source.total / PAGE_ROWS));
    this.#page = Math.min(this.#page, pages - 1);
    const rows = source.page(this.#page * PAGE_ROWS, PAGE_ROWS);
    const first = source.start ?? this.#page * PAGE_ROWS;
    const about = ABOUT[source.precision];
    const kind = this.#table.description.kind === "view" ? " · a view, read again whenever a table changes" : this.#table.tellsChanges ? "" : " · read again whenever something changes";
    const isUnread = source.isTurning && rows.length === 0;
    setText(this.#count, isUnread ? "Reading…" : `${about}${plural(source.count, "row")}${kind}`);
    this.#scroller.setAttribute("aria-busy", String(source.isTurning ?? false));
    if (this.#drawn === undefined || !areEqual(this.#drawn, source.columns)) {
      this.#drawn = source.columns;
      this.#columns = source.columns.slice(0, MOST_COLUMNS).map((name) => columnOf(this.#table.description, name));
    }
    this.#rows.draw({ columns: this.#columns, rows, first, sort: source.sort, keyOf: (row) => source.keyOf(row), cursors: this.#cursors() });
    if (!isUnread) this.#pager.draw({ page: this.#page, pages, first, shown: Math.min(rows.length, PAGE_ROWS), total: source.total, about });
    this.#changes.draw();
  };

  #drawNotice() {
    const { message, source } = this.#table;
    const hidden = source?.columns.length > MOST_COLUMNS ? `The first ${MOST_COLUMNS} of ${count(source.columns.length)} columns; a query shows any others.` : "";
    const text = message || errorText(source?.error) || hidden;
    setText(this.#notice, text);
    show(this.#notice, text !== "");
  }

  #cursors() {
    const { presence, client } = this.#app;
    return [...presence.people.values()]
      .filter(({ userId, cursor }) => userId !== client.userId && cursor?.table === this.name && cursor.row !== undefined)
      .map(({ userId, username, cursor }) => ({ key: cursor.row, column: cursor.column, username, tone: tone(userId) }));
  }
}

const errorText = (error) => (error?.code === "DISCONNECTED" ? "Not connected to the server." : error?.message ?? "");

function columnOf({ columns }, name) {
  const column = columns.find((each) => each.name === name);
  return { name, type: column?.type, key: column?.primaryKey > 0 };
}
