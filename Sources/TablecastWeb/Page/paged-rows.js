// Rows of what is too large to hold, or is no table: one page at a time by a query, refreshed when something changed.

import { quoted } from "./format.js";

const REFRESH_MS = 400;
const OWN = "page:";
let queries = 0;

/** The page's own reading bears a name by which the list of everyone's queries leaves it out. */
export const ownQueryId = () => `${OWN}${crypto.getRandomValues(new Uint32Array(2)).join("-")}-${(queries += 1)}`;
export const isOwnQueryId = (queryId) => queryId.startsWith(OWN);

/** The same face as LiveRows, filled by `SELECT … LIMIT … OFFSET …`. */
export class PagedRows {
  columns = [];
  total = 0;
  hasMarks = false;
  error = undefined;
  onchange = () => {};
  #client;
  #name;
  #rows = [];
  #range = { start: 0, length: 0 };
  #sort = { column: undefined, descending: false };
  #abort;
  #refresh;

  constructor(client, name, columns, total) {
    this.#client = client;
    this.#name = name;
    this.columns = columns;
    this.total = total;
  }

  get count() {
    return this.total;
  }

  get sort() {
    return this.#sort;
  }

  sortBy(column, descending) {
    this.#sort = { column, descending };
    this.#fetch();
  }

  page(start, length) {
    if (start !== this.#range.start || length !== this.#range.length) {
      this.#range = { start, length };
      this.#fetch();
    }
    return this.#rows;
  }

  keyOf(row) {
    return String(row.order);
  }

  /** Something in the database changed: reads the page again, soon and once. */
  touch() {
    this.#refresh ??= setTimeout(() => {
      this.#refresh = undefined;
      this.#fetch();
    }, REFRESH_MS);
  }

  close() {
    clearTimeout(this.#refresh);
    this.#abort?.abort();
  }

  async #fetch() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    const { start, length } = this.#range;
    const { column, descending } = this.#sort;
    const order = column === undefined ? "" : ` ORDER BY ${quoted(this.columns[column])}${descending ? " DESC" : ""}`;
    const sql = `SELECT * FROM ${quoted(this.#name)}${order} LIMIT ${length + 1} OFFSET ${start}`;
    const rows = [];
    try {
      for await (const batch of this.#client.query(sql, { signal, queryId: ownQueryId() }).batches()) {
        this.columns = batch.columns;
        for (const values of batch.rows) rows.push({ values, order: start + rows.length, version: Math.random(), mark: undefined });
      }
      this.error = undefined;
    } catch (error) {
      if (signal.aborted) return;
      this.error = error;
    }
    this.#rows = rows.slice(0, length);
    this.total = Math.max(this.total, start + rows.length);
    if (rows.length <= length) this.total = start + rows.length;
    this.onchange();
  }
}
