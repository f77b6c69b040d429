// Rows of what is too large to hold, or is no table: one page at a time by a query, refreshed when something changed. What
// changes is received row by row if it is a table: rows on the page are marked and show their new values immediately.

import { quoted } from "./format.js";
import { MARK_MS } from "./live-rows.js";
import { areEqual, field, keyText, same, valueKey } from "./values.js";

const REFRESH_MS = 400;
const RECOUNT_MS = 2_000;
const COUNT_TIMEOUT_MS = 20_000;
const READING_SHARE = 2; // after a page that took long, rest this many times as long
const COUNTING_SHARE = 20;
const MOST_MARKS = 2_000;
const ROWID_NAMES = ["rowid", "_rowid_", "oid"];
const OWN = "page:";
let queries = 0;

/** The page's own reading bears a name by which the list of everyone's queries leaves it out. */
export const ownQueryId = () => `${OWN}${crypto.getRandomValues(new Uint32Array(2)).join("-")}-${(queries += 1)}`;
export const isOwnQueryId = (queryId) => queryId?.startsWith(OWN) ?? false;

/** The same face as LiveRows, filled by `SELECT … LIMIT … OFFSET …`. */
export class PagedRows {
  columns = [];
  error = undefined;
  onchange = () => {};
  #client;
  #name;
  #counter;
  #condition;
  #isCounted = false;
  #seen = 0;
  #keyNames;
  #rowid;
  #start = 0;
  #rows = [];
  #byId = new Map();
  #marks = new Map();
  #range = { start: 0, length: 0 };
  #sort = { column: undefined, descending: false };
  /** Whether another page, or another order, is being read than the one that is shown. */
  isTurning = true;
  #reading;
  #isDue = false;
  #refresh;
  #recount;
  #counting;
  #isCountDue = false;
  #countRest = 0;

  /**
   * @param key the names of the primary key's columns; without, and for a view, no row is known from another
   * @param hasRowid whether the rows have a rowid, which then identifies them
   * @param counter where the number of rows is kept, `{ rows }`: an estimate until it was counted
   * @param condition `{ sql, params }` of the rows to show; all of them without
   */
  constructor(client, name, { columns, key, hasRowid, counter, condition }) {
    this.#client = client;
    this.#name = name;
    this.#counter = counter;
    this.#keyNames = key;
    this.#rowid = hasRowid ? ROWID_NAMES.find((rowid) => !columns.some((column) => column.toLowerCase() === rowid)) : undefined;
    this.columns = columns;
    this.#condition = condition;
  }

  /** Number of the first row that `page` has given, from 0: until a page is read, the one before is shown. */
  get start() {
    return this.#start;
  }

  /** Rows to show, as far as that is known. */
  get total() {
    return this.#isCounted && this.#counter.rows !== undefined ? this.#counter.rows : Math.max(this.#counter.rows ?? 0, this.#seen);
  }

  get count() {
    return this.total;
  }

  /** Whether the count is one: `exact`, an `estimate`, or `atLeast` what was seen. */
  get precision() {
    return this.#isCounted ? "exact" : this.#counter.rows > this.#seen ? "estimate" : "atLeast";
  }

  get sort() {
    return this.#sort;
  }

  get hasMarks() {
    return this.#marks.size > 0;
  }

  sortBy(column, descending) {
    this.#sort = { column, descending };
    this.#turn();
  }

  page(start, length) {
    if (start !== this.#range.start || length !== this.#range.length) {
      this.#range = { start, length };
      this.#turn();
    }
    return this.#rows;
  }

  /** The identity of a row, as in LiveRows; undefined if there is none. */
  keyOf(row) {
    const places = this.#keyNames.map((name) => this.columns.indexOf(name));
    if (places.length > 0) return keyText(row.values, places);
    return this.#rowid === undefined ? undefined : keyText(row.values, [...row.values.keys()]);
  }

  /** Something in the database changed: reads the page again, soon and once, however often this is called. */
  touch() {
    this.#readSoon(REFRESH_MS);
    this.#countSoon(RECOUNT_MS);
  }

  /** What was counted has been overwritten by an estimate. */
  recount() {
    this.#isCounted = false;
    this.#countSoon(0);
  }

  /** Marks what one change did to the page. */
  apply({ op, key, rowid, before, after }, who, now = performance.now()) {
    const id = this.#rowid === undefined ? keyText(this.#keyNames.map((name) => field(key, name)), [...this.#keyNames.keys()]) : valueKey(rowid);
    const row = this.#byId.get(id);
    const earlier = this.#marks.get(id);
    const isAdded = earlier?.op === "insert" && op === "update";
    const mark = { op: isAdded ? "insert" : op, who, at: now, cells: new Set(earlier?.op === "update" ? earlier.cells : []) };
    if (op === "update") this.columns.forEach((name, index) => !same(field(before, name), field(after, name)) && mark.cells.add(index));
    this.#marks.delete(id);
    this.#marks.set(id, mark);
    if (this.#marks.size > MOST_MARKS) this.#marks.delete(this.#marks.keys().next().value);
    if (!row) return;
    if (op === "update") row.values = this.columns.map((name, index) => (after && Object.hasOwn(after, name) ? after[name] : row.values[index]));
    row.mark = mark;
    row.version += 1;
  }

  /** Drops marks, and rows marked as deleted, whose time is over; returns whether there was one. */
  expire(now = performance.now()) {
    let gone = 0;
    for (const [id, mark] of this.#marks) {
      if (now - mark.at < MARK_MS) continue;
      this.#marks.delete(id);
      gone += 1;
    }
    if (gone === 0) return false;
    this.#rows = this.#rows.filter(({ id, mark }) => mark?.op !== "delete" || this.#marks.has(id));
    for (const row of this.#rows) {
      if (!row.mark || this.#marks.has(row.id)) continue;
      row.mark = undefined;
      row.version += 1;
    }
    return true;
  }

  close() {
    clearTimeout(this.#refresh);
    clearTimeout(this.#recount);
    this.#reading?.abort();
    this.#counting?.abort();
  }

  /** Another page, or another order: what is being read is of no use any more. */
  #turn() {
    this.isTurning = true;
    this.#reading?.abort();
    this.#reading = undefined;
    this.#isDue = false;
    clearTimeout(this.#refresh);
    this.#refresh = undefined;
    this.#rows = this.#rows.filter(({ mark }) => mark?.op !== "delete");
    this.#read();
  }

  #readSoon(wait) {
    if (this.#reading) this.#isDue = true;
    else this.#refresh ??= setTimeout(() => this.#read(), wait);
  }

  async #read() {
    this.#refresh = undefined;
    const reading = (this.#reading = new AbortController());
    const { start, length } = this.#range;
    const { column, descending } = this.#sort;
    const isFirst = this.#rows.length === 0;
    const order = column === undefined ? "" : ` ORDER BY ${quoted(this.columns[column])}${descending ? " DESC" : ""}`;
    const rowid = this.#rowid === undefined ? "" : `${this.#rowid}, `;
    const sql = `SELECT ${rowid}* FROM ${quoted(this.#name)}${this.#where}${order} LIMIT ${length + 1} OFFSET ${start}`;
    const began = performance.now();
    try {
      const read = [];
      for await (const batch of this.#client.query(sql, { params: this.#condition?.params, signal: reading.signal, queryId: ownQueryId() }).batches()) {
        this.#named(rowid === "" ? batch.columns : batch.columns.slice(1));
        read.push(...batch.rows);
      }
      this.error = undefined;
      this.#take(read, start, length);
    } catch (error) {
      if (reading.signal.aborted) return;
      this.error = error;
    }
    this.#reading = undefined;
    this.isTurning = false;
    const took = performance.now() - began;
    if (this.#isDue) this.#readSoon(Math.max(REFRESH_MS, READING_SHARE * took));
    this.#isDue = false;
    if (isFirst) this.#countSoon(0);
    this.onchange();
  }

  get #where() {
    return this.#condition ? ` WHERE ${this.#condition.sql}` : "";
  }

  /** Equal names are equal columns, which need not be drawn again. The order stays with its column. */
  #named(columns) {
    if (areEqual(columns, this.columns)) return;
    const column = columns.indexOf(this.columns[this.#sort.column]);
    this.#sort = column < 0 ? { column: undefined, descending: false } : { ...this.#sort, column };
    this.columns = columns;
  }

  /** Rows that did not change stay the same ones; those deleted stay where they were until their mark has faded. */
  #take(read, start, length) {
    const rows = read.slice(0, length).map((values) => this.#rowOf(values));
    this.#start = start;
    this.#rows = withDeleted(rows, this.#rows);
    this.#byId = new Map(rows.filter(({ id }) => id !== undefined).map((row) => [row.id, row]));
    this.#seen = start + read.length;
    if (read.length <= length && (read.length > 0 || start === 0)) this.#counted(start + read.length);
  }

  #rowOf(read) {
    const values = this.#rowid === undefined ? read : read.slice(1);
    const id = this.#rowid === undefined ? this.keyOf({ values }) : valueKey(read[0]);
    const known = this.#byId.get(id);
    const mark = this.#marks.get(id);
    const shown = mark?.op === "delete" ? undefined : mark; // deleted, and there again
    if (known && known.mark === shown && known.values.every((value, index) => same(value, values[index]))) return known;
    return { id, values, rowid: this.#rowid === undefined ? undefined : read[0], version: (known?.version ?? 0) + 1, mark: shown };
  }

  #countSoon(wait) {
    if (this.#counting) this.#isCountDue = true;
    else this.#recount ??= setTimeout(() => this.#count(), Math.max(wait, this.#countRest));
  }

  /** Counting reads the whole table, so it runs rarely, and more rarely the longer it takes. In between, received changes are added. */
  async #count() {
    this.#recount = undefined;
    const { signal } = (this.#counting = new AbortController());
    const began = performance.now();
    try {
      const query = this.#client.query(`SELECT count(*) FROM ${quoted(this.#name)}${this.#where}`, { params: this.#condition?.params, rowFormat: "arrays", signal, timeout: COUNT_TIMEOUT_MS, queryId: ownQueryId() });
      for await (const [rows] of query) this.#counted(rows);
      this.onchange();
    } catch {
      // too slow, or not connected: what is known is shown
    }
    if (signal.aborted) return;
    this.#counting = undefined;
    this.#countRest = COUNTING_SHARE * (performance.now() - began);
    if (this.#isCountDue) this.#countSoon(RECOUNT_MS);
    this.#isCountDue = false;
  }

  #counted(rows) {
    this.#isCounted = true;
    this.#counter.rows = rows;
  }
}

/** New rows with those of the old ones that are marked as deleted, each behind the row that it stood behind. */
function withDeleted(rows, old) {
  const ids = new Set(rows.map(({ id }) => id));
  const behind = new Map();
  let before;
  for (const row of old) {
    if (ids.has(row.id)) before = row.id;
    else if (row.mark?.op === "delete") behind.set(before, [...(behind.get(before) ?? []), row]);
  }
  if (behind.size === 0) return rows;
  return [...(behind.get(undefined) ?? []), ...rows.flatMap((row) => [row, ...(behind.get(row.id) ?? [])])];
}
