// One table that is looked at: what it is made of, its rows as they are now, and who changes them. A model; it draws nothing.

import { collations } from "./collations.js";
import { author, changeCounts, quoted } from "./format.js";
import { LiveRows } from "./live-rows.js";
import { ownQueryId, PagedRows } from "./paged-rows.js";
import { describeTable } from "./service.js";

const MOST_LIVE_ROWS = 20_000; // more are read page by page
const GROWN_LIVE_ROWS = 1.25 * MOST_LIVE_ROWS; // and what was fewer once, from here on
const LONGEST_PATTERN_BYTES = 256; // as the server has it
const COUNT_TIMEOUT_MS = 1_000; // what takes longer to count is read page by page

export class OpenTable {
  description;
  /** LiveRows or PagedRows; undefined until the first row is known. */
  source;
  message = "";
  #app;
  #hooks;
  #abort;
  #hasFailed = false;
  /** Of the rows to show, `{ sql, params }`. */
  #condition;
  /** Whether the server has refused the condition as the `where` of a subscription. */
  #isConditionRefused = false;
  /** Whether the server has refused even a subscription without condition and snapshot: then changes are known from the page's own. */
  #isRefused = false;
  #subscription;
  #position;

  /** @param hooks `{ ondescribed(), onchange(), onlisted(entry) }`; an entry is one of ChangeList */
  constructor(app, name, hooks) {
    this.#app = app;
    this.name = name;
    this.#hooks = hooks;
  }

  /** Whether each change of a row is received, so that it can be marked and listed. */
  get tellsChanges() {
    return this.description?.kind === "table";
  }

  /** Whether a condition lets only some of the rows through. */
  get isFiltered() {
    return this.#condition !== undefined;
  }

  /** Shows what a condition lets through, which SQLite decides, and follows that alone. */
  filter(condition) {
    if (JSON.stringify(condition, plain) === JSON.stringify(this.#condition, plain)) return;
    this.#condition = condition;
    this.#isConditionRefused = false;
    if (this.source) this.#read(); // else it is about to be read
  }

  /** Reads the schema, and the rows with it: the table is new, or no longer what it was. */
  async load() {
    this.#isRefused = false;
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    try {
      await this.#app.heard;
      if (signal.aborted) return;
      this.description = await this.#describe(signal);
      this.#hooks.ondescribed();
    } catch (error) {
      return this.#failed(error, signal);
    }
    await this.#read();
  }

  /** Reads the rows: all of them where they are few. */
  async #read() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    try {
      const isSmall = this.tellsChanges && this.name !== "" && (await this.#isSmall(signal)); // no snapshot of the empty name
      if (signal.aborted) return;
      this.#disconnect();
      if (isSmall) this.#holdAll();
      else this.#readByPage();
      this.#hasFailed = false;
      this.#say("");
    } catch (error) {
      this.#failed(error, signal);
    }
  }

  #failed(error, signal) {
    if (signal.aborted) return;
    this.#hasFailed = true;
    this.#say(error.message);
  }

  close() {
    this.#abort?.abort();
    this.#disconnect();
    this.source = undefined;
  }

  dropped() {
    this.#abort?.abort();
    this.#disconnect();
    this.#say("This table was dropped. The page shows its last state.");
  }

  /** The connection is back: what failed without it is tried again. */
  resume() {
    if (this.#hasFailed) this.load();
    else if (this.source instanceof PagedRows) this.source.touch();
  }

  /** A change received on the page's main connection: sufficient for content that is read page by page and has no changes of its own. */
  receive(tableName) {
    if (this.source instanceof PagedRows && (tableName === this.name || !this.tellsChanges)) this.source.touch();
  }

  /** The list of tables is new, and has estimates where this knows the number. */
  tellCount() {
    if (this.#condition) return; // of some rows alone
    if (this.source instanceof LiveRows) this.#app.catalog.counted(this.name, this.source.count, this.#position);
    else this.source?.recount();
  }

  #say(message) {
    this.message = message;
    this.#hooks.onchange();
  }

  #disconnect() {
    this.#subscription?.close();
    this.#subscription = undefined;
    if (this.source instanceof PagedRows) this.source.close();
  }

  async #describe(signal) {
    const description = await describeTable(this.name, this.#app.client, signal);
    // A foreign key without columns is to the primary key.
    for (const key of (description.foreignKeys ?? []).filter(({ to }) => to === undefined || to === null)) {
      const parent = await describeTable(key.table, this.#app.client, signal).catch(() => undefined); // not there, or not to be read
      key.to = parent && primaryKey(parent)[key.seq];
    }
    return description;
  }

  /** Whether the rows fit into the page: counted, as far as it matters, because an estimate may be far off. */
  async #isSmall(signal) {
    const condition = this.#condition;
    if (condition && this.#isConditionRefused) return false;
    const sql = `SELECT count(*) FROM (SELECT 1 FROM ${quoted(this.name)}${condition ? ` WHERE ${condition.sql}` : ""} LIMIT ${MOST_LIVE_ROWS + 1})`;
    try {
      const [[rows]] = await this.#app.client.query(sql, { params: condition?.params, rowFormat: "arrays", signal, timeout: COUNT_TIMEOUT_MS, queryId: ownQueryId() });
      return rows <= MOST_LIVE_ROWS;
    } catch (error) {
      if (error.code === "CANCELLED" && error.reason === "timeout") return false;
      throw error;
    }
  }

  /** Those that `SELECT *` gives. */
  get shownColumns() {
    return this.description.columns.filter((column) => !column.hidden);
  }

  get #columnNames() {
    return this.shownColumns.map((column) => column.name);
  }

  #holdAll() {
    this.#subscribe({ snapshot: true });
    let next;
    let isTooMuch = false;
    this.#subscription.on("reset", () => (next = undefined));
    this.#subscription.on("message", ({ type, position, data }) => {
      if (type !== "table:snapshot" || data.tableName !== this.name || isTooMuch) return;
      next ??= this.#newLiveRows(data.columns.map((column) => column.name ?? column));
      next.load(data.rows, data.rowids);
      isTooMuch = next.count > GROWN_LIVE_ROWS;
      if (isTooMuch) this.#outgrown();
      else if (data.last) this.#hold(next, position);
    });
    this.#subscription.on("complete", ({ unreadable }) => unreadable.length > 0 && this.#outgrown());
  }

  /** The names of the primary key's columns, in its order. */
  get keyColumns() {
    return primaryKey(this.description);
  }

  /** How a write identifies a row; undefined if nothing identifies the rows. */
  identityOf(row) {
    const key = Object.fromEntries(this.keyColumns.map((name) => [name, row.values[this.source.columns.indexOf(name)]]));
    const hasKey = this.keyColumns.length > 0;
    if (!hasKey && row.rowid === undefined) return undefined;
    return { ...(hasKey && { key }), ...(row.rowid !== undefined && { rowid: row.rowid }) };
  }

  #newLiveRows(columns) {
    return new LiveRows(columns, primaryKey(this.description), collations(this.description.sql));
  }

  #hold(source, position) {
    this.#replaceSource(source);
    this.#position = position;
    this.tellCount();
    this.#hooks.onchange();
  }

  #readByPage() {
    const { catalog, client } = this.#app;
    const { name } = this;
    const counter = {
      get rows() {
        return catalog.tables.get(name)?.rows;
      },
      set rows(rows) {
        catalog.counted(name, rows);
      },
    };
    if (this.source instanceof PagedRows) this.source.close();
    const isWhole = this.tellsChanges && !this.#condition;
    const source = new PagedRows(client, name, {
      columns: this.#columnNames,
      key: this.tellsChanges ? primaryKey(this.description) : [],
      hasRowid: this.tellsChanges && !this.description.withoutRowid,
      counter: isWhole ? counter : { rows: undefined },
      condition: this.#condition,
    });
    source.onchange = () => this.#hooks.onchange();
    this.#replaceSource(source);
    if (this.tellsChanges && !this.#subscription && !this.#isRefused) this.#subscribe();
    this.#hooks.onchange();
  }

  /** More rows than a page should hold, by what was added since: goes on without holding them, and misses no change. */
  #outgrown() {
    this.#subscription.update(this.#filters);
    this.#readByPage();
  }

  /** In the same order as before, if there still is a column of that name. */
  #replaceSource(source) {
    const { columns, sort } = this.source ?? source;
    const column = source.columns.indexOf(columns[sort.column]);
    if (column >= 0) source.sortBy(column, sort.descending);
    this.source = source;
  }

  get #filters() {
    if (this.name === "") return { rows: "values" };
    const where = this.#condition && !this.#isConditionRefused ? { where: this.#condition.sql, params: this.#condition.params } : {};
    return { tables: [asPattern(this.name)], rows: "values", ...where };
  }

  #subscribe(options) {
    const asksForMore = options !== undefined || this.#filters.where !== undefined;
    const subscription = (this.#subscription = this.#app.client.subscribe("tables", { ...this.#filters, ...options }));
    subscription.on("message", (message) => this.#changed(message));
    subscription.on("gap", () => this.source instanceof PagedRows && this.source.touch());
    subscription.on("error", ({ willRetry }) => {
      if (subscription !== this.#subscription || willRetry) return;
      this.#disconnect();
      if (asksForMore) this.#isConditionRefused = true; // no snapshot of this table, or no such filter
      else this.#isRefused = true;
      this.#readByPage();
    });
  }

  #changed({ type, timestamp, data }) {
    if (type !== "table:modified" || data.change !== "rows" || data.tableName !== this.name) return;
    const who = author(data, this.#app.client.userId);
    if (data.rowsOmitted) return this.#changedAtOnce(who, timestamp, data);
    if (this.source instanceof PagedRows) this.source.touch();
    else this.source ??= this.#newLiveRows(this.#columnNames);
    for (const change of data.rows ?? []) {
      this.source.apply(change, who);
      this.#hooks.onlisted({ at: timestamp, who, change });
    }
    this.#position = data.transaction.position;
    if (this.source instanceof LiveRows && this.source.total > GROWN_LIVE_ROWS) return this.#outgrown();
    this.#hooks.onchange();
  }

  /** Too many rows in one transaction to list them. */
  #changedAtOnce(who, at, data) {
    const counts = changeCounts(data);
    this.#hooks.onlisted({ at, who, summary: counts ? `${counts} rows at once` : "changed rows" });
    if (this.source instanceof PagedRows) this.source.touch();
    else this.#subscription.update({ ...this.#filters, snapshot: true });
    this.#hooks.onchange();
  }
}

const plain = (_, value) => (typeof value === "bigint" ? `${value}n` : value instanceof Uint8Array ? [...value] : value);

/** A name as a pattern that matches it, and but for the longest names it alone; no pattern matches the empty name alone. */
function asPattern(name) {
  const parts = Array.from(name, (character) => ("*?[".includes(character) ? `[${character}]` : character));
  const pattern = parts.join("");
  if (bytesOf(pattern) <= LONGEST_PATTERN_BYTES) return pattern;
  while (bytesOf(parts.join("")) >= LONGEST_PATTERN_BYTES) parts.pop();
  return `${parts.join("")}*`;
}

const bytesOf = (text) => new TextEncoder().encode(text).length;

function primaryKey({ columns }) {
  return columns.filter((column) => column.primaryKey).sort((one, other) => one.primaryKey - other.primaryKey).map((column) => column.name);
}
