// One table: its rows as they are now, or its schema; both live.

import { showCell } from "./cell-dialog.js";
import { editCell, isTypeable } from "./cell-editor.js";
import { ChangeList } from "./change-list.js";
import { el, icon, setText, show } from "./dom.js";
import { conditionOf, exactly, FILTER_HELP } from "./filters.js";
import { count, displayName, plural } from "./format.js";
import { schedule } from "./frame.js";
import { plainLook, tableAddress } from "./location.js";
import { OpenTable } from "./open-table.js";
import { Pager } from "./pager.js";
import { tone } from "./people.js";
import { askForRow, showConflict } from "./row-dialogs.js";
import { RowsTable } from "./rows-table.js";
import { SchemaView } from "./schema-view.js";
import { areEqual } from "./values.js";

const PAGE_ROWS = 100;
const MOST_COLUMNS = 100;
const LONGEST_ROW_KEY = 500;
const EXPIRY_MS = 500;
const TYPING_MS = 250; // a filter is applied when nothing was typed for so long
const ABOUT = { exact: "", estimate: "about ", atLeast: "more than " };

export class TableView {
  #app;
  #table;
  #tab = "rows";
  /** The state of the view, as in the URL. */
  #look = plainLook();
  #isFiltering = false;
  #typing;
  #expiry;
  #cursor;
  #title = el("h1");
  #count = el("span.quiet");
  #tabs = { rows: el("a", "Rows"), schema: el("a", "Schema") };
  #notice = el("p.notice", { role: "status", hidden: true });
  #pager = new Pager((page) => this.#turnTo(page));
  #rows = new RowsTable({
    onsort: (column) => this.#sort(column),
    onfilter: (name, text) => this.#filterBy(name, text),
    onfocus: (row, column) => this.#moveCursor(row, column),
    onopen: (row, index) => this.#open(row, index),
    onedit: (row, index, cell) => this.#edit(row, index, cell),
    ondelete: (row) => this.#delete(row),
    onundo: () => this.#undo(),
  });
  #editing;
  #add = el("button.small", { type: "button", onclick: () => this.#insert() }, icon("plus"), "Row");
  #remove = el("button.small", { type: "button", title: "Delete the row at the cursor (Delete)", onclick: () => this.#rows.focusedRow && this.#delete(this.#rows.focusedRow) }, icon("trash"), "Delete");
  #back = el("button.small", { type: "button", title: "Undo your last edit (Ctrl Z)", onclick: () => this.#undo() }, icon("undo"), "Undo");
  #edits = el("span.edit-tools", { hidden: true }, this.#add, this.#remove, this.#back);
  #search = el("input.search", { type: "search", placeholder: "Search the rows", "aria-label": "Search the rows", autocomplete: "off", oninput: () => this.#typed(() => (this.#look.search = this.#search.value)) });
  #filterButton = el("button.small", { type: "button", "aria-pressed": "false", title: `A filter for each column: ${FILTER_HELP}`, onclick: () => this.#toggleFilters() }, icon("filter"), "Filter");
  #columnRange = el("span.quiet");
  #columnsBack = el("button.icon-button", { type: "button", "aria-label": "Columns before", onclick: () => this.#turnColumns(-1) }, icon("back"));
  #columnsOn = el("button.icon-button", { type: "button", "aria-label": "Columns behind", onclick: () => this.#turnColumns(1) }, icon("next"));
  #columnTurner = el("span.columns-turner", { hidden: true }, this.#columnsBack, this.#columnRange, this.#columnsOn);
  #tools = el("div.table-tools", this.#search, this.#filterButton, this.#edits, this.#columnTurner);
  #changes = new ChangeList();
  #schema = new SchemaView();
  #scroller = el("div.scroller", this.#rows.element);
  #rowsPane = el("div.rows-pane", el("div.sheet", this.#tools, this.#scroller, this.#pager.element), this.#changes.element);

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
    app.edits.onchange = this.#changed;
  }

  /** Shows a table; the same one again only changes the tab, and how it is looked at. */
  open(name, tab, look) {
    this.#tab = tab;
    for (const [key, link] of Object.entries(this.#tabs)) {
      if (key === tab) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    show(this.#rowsPane, tab === "rows");
    show(this.#schema.element, tab === "schema");
    show(this.element, true);
    if (name === this.name) {
      this.#lookAt(look);
      return this.#linkTabs();
    }
    this.close();
    show(this.element, true);
    setText(this.#title, displayName(name));
    this.#look = look;
    this.#isFiltering = look.filters.size > 0;
    this.#search.value = look.search;
    this.#table = new OpenTable(this.#app, name, {
      ondescribed: () => this.#described(),
      onchange: this.#changed,
      onlisted: (entry) => this.#changes.add(entry),
    });
    this.#linkTabs();
    this.#table.load();
    this.#expiry = setInterval(() => this.#table.source?.hasMarks && this.#table.source.expire() && this.#changed(), EXPIRY_MS);
  }

  /** Nothing of this table must be seen under another one's name. */
  close() {
    clearInterval(this.#expiry);
    this.#leaveCell();
    this.#editing?.close();
    this.#table?.close();
    this.#table = undefined;
    clearTimeout(this.#typing);
    this.#look = plainLook();
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

  toggleTab() {
    location.hash = tableAddress(this.name, this.#tab === "schema" ? "rows" : "schema", this.#look);
  }

  #linkTabs() {
    for (const [key, link] of Object.entries(this.#tabs)) link.href = tableAddress(this.name, key, this.#look);
  }

  /** Keeps the state of the view in the URL, for bookmarks, links and the history. */
  #tellAddress() {
    history.replaceState(null, "", tableAddress(this.name, this.#tab, this.#look));
    this.#linkTabs();
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

  /** A change received on the page's main connection. */
  receive({ data }) {
    this.#table?.receive(data.tableName);
  }

  #described() {
    this.#schema.draw(this.#table.description);
    this.#table.filter(conditionOf(this.#look, this.#table.shownColumns));
    show(this.#changes.element, this.#table.tellsChanges);
    this.#rowsPane.classList.toggle("alone", !this.#table.tellsChanges);
    this.#drawn = undefined; // a column may be of another type now
  }

  #sort(column) {
    const { source } = this.#table;
    const name = source.columns[column];
    if (this.#look.sort !== name) Object.assign(this.#look, { sort: name, isDescending: false });
    else if (!this.#look.isDescending) this.#look.isDescending = true;
    else Object.assign(this.#look, { sort: undefined, isDescending: false });
    this.#look.page = 0;
    this.#tellAddress();
    this.#changed();
  }

  #turnTo(page) {
    this.#look.page = page;
    this.#scroller.scrollTop = 0;
    this.#tellAddress();
    this.#changed();
  }

  #turnColumns(by) {
    this.#look.firstColumn += by * MOST_COLUMNS;
    this.#scroller.scrollLeft = 0;
    this.#tellAddress();
    this.#changed();
  }

  #lookAt(look) {
    this.#look = look;
    this.#isFiltering ||= look.filters.size > 0;
    if (document.activeElement !== this.#search) this.#search.value = look.search;
    this.#applyFilter();
    this.#changed();
  }

  #toggleFilters() {
    this.#isFiltering = !this.#isFiltering;
    if (!this.#isFiltering && this.#look.filters.size > 0) {
      this.#look.filters.clear();
      this.#filtered();
    }
    this.#draw();
    if (this.#isFiltering) this.#rows.focusFilters();
  }

  #filterBy(name, text) {
    this.#typed(() => (text === "" ? this.#look.filters.delete(name) : this.#look.filters.set(name, text)));
  }

  #typed(change) {
    change();
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#filtered(), TYPING_MS);
  }

  #filtered() {
    this.#look.page = 0;
    this.#tellAddress();
    this.#applyFilter();
    this.#changed();
  }

  #applyFilter() {
    if (this.#table.description) this.#table.filter(conditionOf(this.#look, this.#table.shownColumns));
  }

  /** Sorts the rows as the URL says; a missing column is ignored. */
  #applySort(source) {
    const { sort, isDescending } = this.#look;
    const column = sort === undefined ? -1 : source.columns.indexOf(sort);
    const wanted = column < 0 ? undefined : column;
    if (source.sort.column !== wanted || source.sort.descending !== (wanted !== undefined && isDescending)) source.sortBy(wanted, wanted !== undefined && isDescending);
  }

  #moveCursor(row, column) {
    this.#cursor = { table: this.name, row: this.#table.source.keyOf(row)?.slice(0, LONGEST_ROW_KEY), column };
    this.#app.presence.moveCursor(this.#cursor);
  }

  // MARK: Editing

  /** Whether the rows have an identity and the user is permitted to write. */
  get #isEditable() {
    return this.#app.edits.isAllowed && this.#table?.tellsChanges === true && this.#table.source !== undefined;
  }

  /** The column at a place, if its values may be written. */
  #writable(index) {
    if (!this.#isEditable) return undefined;
    const column = this.#table.description.columns.find(({ name }) => name === this.#table.source.columns[index]);
    return column && !column.generated ? column : undefined;
  }

  #open(row, index) {
    const column = row.mark?.op === "delete" ? undefined : this.#writable(index);
    const identity = column && this.#table.identityOf(row);
    const editing = identity && { column, save: (value) => this.#update(row, identity, column, row.values[index], value) };
    showCell(this.#table.source.columns[index], row.values[index], editing);
  }

  #edit(row, index, cell) {
    const column = row.mark?.op === "delete" ? undefined : this.#writable(index);
    const identity = column && this.#table.identityOf(row);
    const value = row.values[index];
    if (!identity || !isTypeable(value)) return false;
    this.#editing?.close();
    this.#editing = editCell(this.#scroller, cell, column, value, {
      onsave: (next) => this.#update(row, identity, column, value, next).catch((error) => this.#app.say(error.message, "error")),
      onclose: (keepsFocus) => {
        this.#editing = undefined;
        if (keepsFocus) this.#rows.focusCell();
      },
    });
    return true;
  }

  async #update(row, identity, column, seen, value) {
    const table = this.name;
    const values = Object.fromEntries(this.#table.source.columns.map((name, index) => [name, row.values[index]]));
    try {
      await this.#app.edits.update(table, identity, column, seen, value);
    } catch (error) {
      if (error.code !== "CONFLICT") throw error;
      const force = async () => {
        const current = Object.fromEntries(Object.keys(identity.key ?? {}).map((name) => [name, error.row[name]]));
        await this.#app.edits.update(table, { ...identity, ...(identity.key && { key: current }) }, column, error.row[column.name], value).catch((again) => this.#app.say(again.message, "error"));
      };
      showConflict({ table, seen: { ...values, [column.name]: seen }, current: error.row, wanted: { [column.name]: value }, force });
    }
  }

  #insert() {
    const { name } = this;
    askForRow(name, this.#table.shownColumns, (values) => this.#app.edits.insert(name, values, this.#table.keyColumns));
  }

  async #delete(row) {
    const identity = this.#isEditable && row.mark?.op !== "delete" ? this.#table.identityOf(row) : undefined;
    if (!identity) return;
    const table = this.name;
    const columns = this.#table.source.columns.map((name) => this.#table.description.columns.find((column) => column.name === name) ?? { name });
    const attempt = async (values) => {
      try {
        await this.#app.edits.delete(table, identity, columns, values);
        this.#app.say(`Deleted a row of ${table}. Undo restores it.`);
      } catch (error) {
        if (error.code !== "CONFLICT") return this.#app.say(error.message, "error");
        const seen = Object.fromEntries(columns.map(({ name }, index) => [name, values[index]]));
        showConflict({ table, seen, current: error.row, force: () => attempt(columns.map(({ name }) => error.row[name])) });
      }
    };
    await attempt([...row.values]);
  }

  async #undo() {
    try {
      const what = await this.#app.edits.undo();
      if (what) this.#app.say(`Undone: ${what}.`, "good");
    } catch (error) {
      this.#app.say(error.message, "error");
    }
  }

  /** Removes the cursor that the user has left from the view of others. */
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
    this.#applySort(source);
    const pages = Math.max(1, Math.ceil(source.total / PAGE_ROWS));
    // How many there are is known for sure only once they were counted: an address may lead further than what was seen.
    const page = source.precision === "exact" ? Math.min(this.#look.page, pages - 1) : this.#look.page;
    const rows = source.page(page * PAGE_ROWS, PAGE_ROWS);
    const first = source.start ?? page * PAGE_ROWS;
    const about = ABOUT[source.precision];
    const kind = this.#table.description.kind === "view" ? " · a view, read again whenever a table changes" : this.#table.tellsChanges ? "" : " · read again whenever something changes";
    const isUnread = source.isTurning && rows.length === 0;
    setText(this.#count, isUnread ? "Reading…" : `${about}${plural(source.count, "row")}${this.#table.isFiltered ? " · filtered" : ""}${kind}`);
    this.#scroller.setAttribute("aria-busy", String(source.isTurning ?? false));
    this.#drawColumns(source.columns);
    this.#rows.draw({ columns: this.#columns, rows, first, sort: source.sort, filters: this.#isFiltering ? this.#look.filters : undefined, keyOf: (row) => source.keyOf(row), cursors: this.#cursors() });
    if (!isUnread) this.#pager.draw({ page, pages: Math.max(pages, page + 1), first, shown: Math.min(rows.length, PAGE_ROWS), total: source.total, about });
    this.#changes.draw();
  };

  /** The window of columns that is shown: a table element of thousands would be slow. */
  #drawColumns(names) {
    const last = Math.max(0, Math.ceil(names.length / MOST_COLUMNS) - 1) * MOST_COLUMNS;
    const first = Math.min(last, this.#look.firstColumn);
    show(this.#columnTurner, names.length > MOST_COLUMNS);
    setText(this.#columnRange, `columns ${count(first + 1)}–${count(Math.min(names.length, first + MOST_COLUMNS))} of ${count(names.length)}`);
    this.#columnsBack.setAttribute("aria-disabled", String(first === 0));
    this.#columnsOn.setAttribute("aria-disabled", String(first === last));
    this.#look.firstColumn = first;
    this.#filterButton.setAttribute("aria-pressed", String(this.#isFiltering));
    show(this.#edits, this.#isEditable);
    this.#back.setAttribute("aria-disabled", String(!this.#app.edits.canUndo));
    if (this.#drawn !== undefined && this.#drawn.first === first && areEqual(this.#drawn.names, names)) return;
    this.#drawn = { names, first };
    this.#columns = names.slice(first, first + MOST_COLUMNS).map((name, index) => ({ ...columnOf(this.#table.description, name), place: first + index, link: linkOf(this.#table.description, names, name) }));
  }

  #drawNotice() {
    const { message, source } = this.#table;
    const text = message || errorText(source?.error);
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

/** Leads from a foreign key to the row that it names: a function of the row, or undefined for other columns. */
function linkOf({ foreignKeys = [] }, names, name) {
  const own = foreignKeys.find(({ from }) => from === name);
  if (!own) return undefined;
  const parts = foreignKeys.filter(({ id }) => id === own.id);
  if (parts.some(({ to }) => !to)) return undefined;
  return (row) => {
    const look = plainLook();
    for (const { from, to } of parts) {
      const text = exactly(row.values[names.indexOf(from)]);
      if (text === undefined) return undefined; // NULL names no row
      look.filters.set(to, text);
    }
    return { table: own.table, address: tableAddress(own.table, "rows", look) };
  };
}

function columnOf({ columns }, name) {
  const column = columns.find((each) => each.name === name);
  return { name, type: column?.type, key: column?.primaryKey > 0 };
}
