// A table, or the rows of it that a filter lets through, as a live collection that can be written.

import { Emitter, isNewer, newestRows, onAbort, settleable } from "./tablecast-core.js";
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
  /** The columns of the key, once a change has said them; undefined where rows are told apart by their rowid. */
  #keyColumns;
  #isByRowid = false;
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
    this.#subscription.on("reset", () => (this.#incoming = new Map()));
    this.#subscription.on("snapshot", (part) => this.#takeSnapshot(part));
    this.#subscription.on("complete", () => this.#completed());
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
    return newestRows(this, () => ({ error: this.error, isEnded: this.#ended }));
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

  /** `row` is one of `rows`; a CONFLICT says that the columns to be written are no longer what it shows. */
  update(row, values) {
    const stored = this.#storedOf(row);
    const before = Object.fromEntries(Object.keys(values).filter((name) => Object.hasOwn(stored.values, name)).map((name) => [name, stored.values[name]]));
    return this.#write({ op: "update", ...this.#identityOf(stored), before, values }, { op: "update", id: stored.id, after: values });
  }

  /** `row` is one of `rows`; a CONFLICT says that it is no longer what it shows. */
  delete(row) {
    const stored = this.#storedOf(row);
    return this.#write({ op: "delete", ...this.#identityOf(stored), before: stored.values }, { op: "delete", id: stored.id });
  }

  async #write(request, shown) {
    const write = { ...shown, position: undefined };
    this.#writes.add(write);
    this.#changed();
    try {
      const written = await this.#client.writeRow({ table: this.name, ...request });
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
    // Where nothing of it passes the filter, no message comes: then the position says that there will be none.
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

  #identityOf({ rowid, key, values }) {
    const identity = {};
    if (rowid !== undefined) identity.rowid = rowid;
    if (key !== undefined) identity.key = key;
    else if (this.#keyColumns) identity.key = Object.fromEntries(this.#keyColumns.map((name) => [name, values[name]]));
    return identity;
  }

  // MARK: What the server says

  #takeSnapshot({ tableName, columns, rows, rowids }) {
    if (tableName !== this.name) return;
    this.columns = columns.map((column) => column.name ?? column);
    rows.forEach((row, index) => {
      const values = Array.isArray(row) ? Object.fromEntries(this.columns.map((name, place) => [name, row[place]])) : row;
      this.#incoming.set(...entry(values, rowids?.[index], this.#incoming.size));
    });
    this.#isByRowid = rowids !== undefined;
  }

  #completed() {
    if (!this.#incoming) return;
    this.#stored = this.#incoming;
    this.#incoming = undefined;
    this.#keyColumns = undefined;
    if (this.#isByRowid) this.#index();
    this.isLive = true;
    this.#changed();
    this.#ready.resolve(this.rows);
  }

  #takeTransaction(messages) {
    for (const { type, data } of messages) {
      if (type === "table:dropped" && data.tableName === this.name) this.#stored.clear();
      if (type !== "table:modified" || data.tableName !== this.name) continue;
      if (data.change === "schema" || data.rowsOmitted) return this.#subscription.update(this.#subscription.options); // a new snapshot
      for (const change of data.rows ?? []) this.#apply(change);
    }
    for (const write of this.#writes) if (write.position !== undefined && !isNewer(write.position, this.position)) this.#writes.delete(write);
    this.#changed();
  }

  #apply({ op, key, rowid, before, after }) {
    if (!this.#isByRowid && !this.#keyColumns) {
      this.#keyColumns = Object.keys(key);
      this.#index();
    }
    const oldId = this.#isByRowid ? valueKey(rowid) : recordKey({ ...key, ...before }, this.#keyColumns);
    const old = this.#stored.get(oldId);
    if (op === "delete") return void this.#stored.delete(oldId);
    const values = { ...old?.values, ...after };
    const id = this.#isByRowid ? valueKey(rowid) : recordKey(key, this.#keyColumns);
    const row = Object.freeze({ ...values });
    if (id === oldId) return void this.#remember(id, row, rowid, key);
    this.#stored.delete(oldId);
    this.#remember(id, row, rowid, key);
  }

  #remember(id, values, rowid, key) {
    ids.set(values, id);
    this.#stored.set(id, { id, values, rowid, key });
  }

  /** Under the ids by which changes name the rows. */
  #index() {
    const rows = [...this.#stored.values()];
    this.#stored = new Map();
    for (const { values, rowid } of rows) this.#remember(this.#isByRowid ? valueKey(rowid) : recordKey(values, this.#keyColumns), values, rowid);
  }

  #failed(error) {
    this.error = error;
    this.#ready.reject(error);
    this._emit("error", error);
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

/** Which row of a table a state of it is, and what the server has said of one that shows an own write. */
const ids = new WeakMap();
const states = new WeakMap();

const stateOf = (row, stored) => states.get(row) ?? row ?? stored.values;

function entry(values, rowid, place) {
  const row = Object.freeze(values);
  const id = `${place}`;
  ids.set(row, id);
  return [id, { id, values: row, rowid }];
}
