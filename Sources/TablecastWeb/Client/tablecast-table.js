// A table, or the rows of it that a filter lets through, as a live collection that can be written.

import { Emitter, isNewer, newestRows, onAbort, settleable, TablecastError } from "./tablecast-core.js";
import { recordKey, valueKey } from "./tablecast-values.js";

const WILDCARDS = /[*?[]/g;

/**
 * The rows of a table as they are now, with this client's own writes shown at once. `rows` is a new array after every change and
 * never altered; rows that stay the same stay the same objects.
 *
 * A write shows in `rows` when it is made. It is taken back when the server refuses it, and gives way to what the server says when
 * that has arrived.
 */
export class LiveTable extends Emitter {
  name;
  columns = [];
  error = undefined;
  isLive = false;
  #client;
  #subscription;
  /** Rows as the server has them, in the order in which they came: `{ id, values, rowid }` by their id. */
  #stored = new Map();
  #incoming;
  /** The columns of the key; undefined if the rowid identifies rows. */
  #keyColumns;
  /** Own writes that the server's rows do not show yet, oldest first. */
  #writes = new Set();
  #shown;
  #ready = settleable(true);
  #ended = false;
  #forgetSignal = () => {};

  constructor(client, name, { where, params, signal } = {}) {
    super();
    this.#client = client;
    this.name = name;
    this.#subscription = client.subscribe("tables", { tables: [name.replace(WILDCARDS, "[$&]")], rows: "values", where, params, snapshot: true });
    this.#subscription.on("live", () => this.#isBack());
    this.#subscription.on("reset", () => (this.#incoming = new Map()));
    this.#subscription.on("snapshot", (part) => this.#takeSnapshot(part));
    this.#subscription.on("complete", (end) => this.#completed(end));
    this.#subscription.on("transaction", (messages) => this.#takeTransaction(messages));
    this.#subscription.on("error", (error) => this.#failed(error));
    this.#subscription.on("end", (error) => this.#end(error));
    this.#forgetSignal = onAbort(signal, () => this.close());
  }

  /** Every row is as of this position, own writes apart. */
  get position() {
    return this.#subscription.position;
  }

  get rows() {
    this.#shown ??= Object.freeze(this.#shownRows());
    return this.#shown;
  }

  /** Resolves with the rows when they are complete for the first time. */
  get ready() {
    return this.#ready.promise;
  }

  close() {
    this.#subscription.close();
  }

  [Symbol.asyncIterator]() {
    return newestRows(this, () => ({ error: this.error?.willRetry ? undefined : this.error, isEnded: this.#ended }));
  }

  /** For `useSyncExternalStore` and its like. */
  subscribe = (listener) => {
    const stops = [this.on("change", listener), this.on("error", listener), this.on("end", listener)];
    return () => stops.forEach((stop) => stop());
  };

  // MARK: Writing

  /** Resolves with the row as the server has it. */
  insert(values) {
    return this.#write({ op: "insert", values }, { op: "insert", after: values });
  }

  /** `row` is one of `rows`; a CONFLICT means that the columns to write have changed since. */
  update(row, values) {
    const stored = this.#storedOf(row);
    const before = Object.fromEntries(Object.keys(values).filter((name) => Object.hasOwn(stored.values, name)).map((name) => [name, stored.values[name]]));
    return this.#write({ op: "update", ...this.#identityOf(stored), before, values }, { op: "update", id: stored.id, after: values });
  }

  /** `row` is one of `rows`; a CONFLICT means that the row has changed since. */
  delete(row) {
    const stored = this.#storedOf(row);
    return this.#write({ op: "delete", ...this.#identityOf(stored), before: stored.values }, { op: "delete", id: stored.id });
  }

  async #write(request, shown) {
    const write = { ...shown, queryId: this.#client._newId(), position: undefined };
    this.#writes.add(write);
    this.#changed();
    try {
      const written = await this.#client.writeRow({ table: this.name, queryId: write.queryId, ...request });
      write.position = written.position;
      // It stays in sight until the server's own rows have it, or are of a later state.
      if (write.position === undefined || !isNewer(write.position, this.position)) this.#forget(write);
      else this.#forgetWhenReached(write);
      return written.row ?? undefined;
    } catch (error) {
      this.#forget(write);
      throw error;
    }
  }

  #forgetWhenReached(write) {
    // If none of its rows passes the filter, no message is sent: then the position shows that none will follow.
    this.#client.seen(write.position).then(
      () => this.#forget(write),
      () => this.#forget(write),
    );
  }

  #forget(write) {
    if (this.#writes.delete(write)) this.#changed();
  }

  /** The newest state of a row of `rows`, whichever of its states it is. */
  #storedOf(row) {
    const id = ids.get(row);
    const stored = id !== undefined && this.#stored.get(id);
    if (!stored) throw new TypeError("update and delete take a row of this collection that is still there");
    return { ...stored, values: stateOf(row, stored) };
  }

  #identityOf({ rowid, values }) {
    if (!this.#keyColumns) return { rowid };
    return { key: Object.fromEntries(this.#keyColumns.map((name) => [name, values[name]])) };
  }

  // MARK: Messages of the server

  #takeSnapshot({ tableName, columns, key, rows, rowids }) {
    if (!this.#isOwn(tableName)) return;
    this.name = tableName; // in the schema's spelling
    this.columns = columns.map((column) => column.name ?? column);
    this.#keyColumns = rowids ? undefined : (key ?? this.columns);
    rows.forEach((row, index) => {
      const values = Array.isArray(row) ? Object.fromEntries(this.columns.map((name, place) => [name, row[place]])) : row;
      this.#remember(this.#incoming, values, rowids?.[index]);
    });
  }

  /** SQLite tells names apart without regard to the case of ASCII letters. */
  #isOwn(tableName) {
    return tableName !== undefined && asciiLowercase(tableName) === asciiLowercase(this.name);
  }

  #completed({ tables, unreadable = [] }) {
    if (!this.#incoming) return;
    const problem = unreadable.find(({ table }) => this.#isOwn(table));
    if (problem) return this.#isAway(new TablecastError(problem.error, "UNREADABLE"));
    // The original version of the protocol does not name the tables.
    if (tables?.length === 0) return this.#isAway(new TablecastError(`there is no table ${this.name}, or it may not be read; a view has rows through live()`, "NO_SUCH_TABLE"));
    this.error = undefined;
    this.#stored = this.#incoming;
    this.#incoming = undefined;
    this.isLive = true;
    this.#changed();
    this.#ready.resolve(this.rows);
  }

  #takeTransaction(messages) {
    for (const { type, data } of messages) {
      const isOwn = this.#isOwn(data.tableName);
      if ((type === "table:dropped" && isOwn) || (data.change === "schema" && !isOwn && this.#isOwn(data.previousName))) {
        this.#isAway(new TablecastError(`the table ${this.name} was ${type === "table:dropped" ? "dropped" : `renamed to ${data.tableName}`}`, "NO_SUCH_TABLE"));
        continue;
      }
      if (!isOwn) continue;
      if (type === "table:created" || data.change === "schema" || data.rowsOmitted) return this.#subscription.update(this.#subscription.options); // a new snapshot
      if (this.isLive) this.#apply(data.rows ?? []); // else a snapshot is on its way
    }
    for (const write of this.#writes) {
      // The change can arrive before the answer: both rows at once would show the write twice.
      const isItsChange = messages.some(({ data }) => data.queryId === write.queryId);
      if (isItsChange || (write.position !== undefined && !isNewer(write.position, this.position))) this.#writes.delete(write);
    }
    this.#changed();
  }

  /** What goes first, then what comes: rows can exchange their keys. */
  #apply(changes) {
    const added = [];
    for (const { op, key, rowid, before, after } of changes) {
      const oldId = op === "insert" ? undefined : this.#idOf({ ...key, ...before }, rowid);
      const values = op === "delete" ? undefined : { ...this.#stored.get(oldId)?.values, ...after };
      if (values) added.push([values, rowid]);
      if (oldId !== undefined && !(values && this.#idOf(values, rowid) === oldId)) this.#stored.delete(oldId);
    }
    for (const [values, rowid] of added) this.#remember(this.#stored, values, rowid);
  }

  #idOf(values, rowid) {
    return this.#keyColumns ? recordKey(values, this.#keyColumns) : valueKey(rowid);
  }

  #remember(rows, values, rowid) {
    const id = this.#idOf(values, rowid);
    ids.set(Object.freeze(values), id);
    rows.set(id, { id, values, rowid });
  }

  /** It may come back: a table of this name that is created is followed from then on. */
  #isAway(error) {
    this.#incoming = undefined;
    this.#stored = new Map();
    this.isLive = false;
    this.#changed();
    this.#failed(error);
  }

  #failed(error) {
    this.error = error;
    if (!error.willRetry) this.#ready.reject(error);
    this._emit("error", error);
  }

  /** The server serves it again. */
  #isBack() {
    if (!this.error?.willRetry) return;
    this.error = undefined;
    this.#changed();
  }

  #end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.error = error ?? this.error;
    this.#forgetSignal();
    this.#ready.reject(error ?? new Error("the collection was closed"));
    this._emit("end", error);
  }

  #changed() {
    this.#shown = undefined;
    this._emit("change", undefined);
  }

  /** The server's rows with the own writes on top. */
  #shownRows() {
    const rows = new Map(this.#stored);
    let inserted = 0;
    for (const { op, id, after } of this.#writes) {
      if (op === "insert") rows.set(`own ${(inserted += 1)}`, { values: Object.freeze({ ...after }) });
      else if (!rows.has(id)) continue;
      else if (op === "delete") rows.delete(id);
      else {
        const stored = rows.get(id);
        const values = Object.freeze({ ...stored.values, ...after });
        ids.set(values, id);
        states.set(values, stored.values);
        rows.set(id, { ...stored, values });
      }
    }
    return [...rows.values()].map(({ values }) => values);
  }
}

/** The row of a table that a state belongs to, and the server's response if it shows an own write. */
const ids = new WeakMap();
const states = new WeakMap();

const asciiLowercase = (name) => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

const stateOf = (row, stored) => states.get(row) ?? row ?? stored.values;
