// A live query: the rows of a SELECT, kept current by what each commit changes in them.

import { Emitter, newestRows, onAbort, settleable, TablecastError } from "./tablecast-core.js";
import { encodeParams, recordKey } from "./tablecast-values.js";

/**
 * The result of a SELECT as it is now. `rows` is a new array after every change and never altered, so that it can be compared
 * with `===`; rows that stay the same stay the same objects.
 */
export class LiveQuery extends Emitter {
  id = undefined;
  columns = [];
  /** `incremental` or `rerun`: how the server keeps it. */
  plan = undefined;
  tables = [];
  /** Whether the order is the query's. Without ORDER BY rows keep their places, and new ones come last. */
  ordered = false;
  position = undefined;
  error = undefined;
  /** Whether `rows` is a result: false until the first snapshot is complete. */
  isLive = false;
  _request = undefined;
  #client;
  #sql;
  #options;
  #bag = new Bag();
  #incoming;
  #pending = [];
  #reset;
  #ready = settleable(true);
  #ended = false;
  #forgetSignal = () => {};

  constructor(client, sql, params, options) {
    super();
    this.#client = client;
    this.#sql = sql;
    this.#options = { ...options, params };
    this.#forgetSignal = onAbort(options.signal, () => this.close());
  }

  get sql() {
    return this.#sql;
  }

  get rows() {
    return this.#bag.rows;
  }

  /** Resolves with the rows when they are complete for the first time; rejects when the query cannot be live. */
  get ready() {
    return this.#ready.promise;
  }

  close() {
    if (this.#ended) return;
    this._end();
    this.#client._forgetLive(this);
  }

  /** `rows` at once where there are any, and after each change; a reader that is slow gets the newest alone. */
  [Symbol.asyncIterator]() {
    return newestRows(this, () => ({ error: this.error, isEnded: this.#ended }));
  }

  /** For `useSyncExternalStore` and its like. */
  subscribe = (listener) => {
    const stops = [this.on("change", listener), this.on("error", listener), this.on("end", listener)];
    return () => stops.forEach((stop) => stop());
  };

  _start() {
    const { params, key } = this.#options;
    this.error = undefined;
    this.#incoming = undefined;
    this.#pending = [];
    this._request = this.#client._newId();
    const data = { sql: this.#sql, params: encodeParams(params), key, since: this.isLive ? this.position : undefined };
    this.#client._send("query:subscribe", data, { id: this._request });
  }

  _acknowledged({ data }) {
    this._request = undefined;
    this.id = data.subscription;
    this.plan = data.plan;
    this.tables = data.tables ?? [];
    this.ordered = data.ordered === true;
    if (data.columns) this.columns = data.columns.map((column) => column.name ?? column);
    this._emit("live", { position: data.position, recovered: data.recovered, plan: data.plan });
  }

  _receive({ type, data, position }) {
    if (type === "query:snapshot") {
      this.#incoming ??= [];
      if (data.columns) this.columns = data.columns.map((column) => column.name ?? column);
      for (const row of data.rows) this.#incoming.push(row);
      if (!data.last) return;
      const rows = this.#incoming;
      this.#incoming = undefined;
      this.#bag = new Bag(rows, this.columns);
      this.#changed(position, { rows: [], reset: true, transactions: 0 });
      this.isLive = true;
      this.#ready.resolve(this.rows);
      this._emit("change", this.#reset);
    } else if (type === "query:changed") {
      for (const change of data.rows) this.#pending.push(change);
      if (!data.last) return;
      const changes = this.#pending;
      this.#pending = [];
      this.#bag.apply(changes, this.ordered);
      this.#changed(position, { rows: changes, reset: false, transactions: data.transactions ?? 1 });
      this._emit("change", this.#reset);
    } else if (type === "query:unsubscribed") {
      const error = new TablecastError(data.reason ?? "the live query was ended by the server", data.code ?? "NOT_LIVE");
      this._end(error);
      this.#client._forgetLive(this);
    }
  }

  #changed(position, change) {
    this.position = position ?? this.position;
    this.#reset = { ...change, position: this.position };
  }

  /** Every row is as of this position now. */
  _reached(position) {
    if (!this.isLive || this._request !== undefined) return;
    this.position = position;
    this._emit("reached", position);
  }

  _lost() {
    this.id = undefined;
    this._request = undefined;
    this.#incoming = undefined;
    this.#pending = [];
  }

  _fail(error) {
    this._request = undefined;
    this.error = error;
    this.#ready.reject(error);
    this._emit("error", error);
    this._end(error);
    this.#client._forgetLive(this);
  }

  _end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.error = error;
    this.#forgetSignal();
    this.#ready.reject(error ?? new TablecastError("the live query was closed", "CLOSED"));
    this._emit("end", error);
  }
}

/** Rows that may be equal, in order; found by their values. */
class Bag {
  #rows;
  #columns;
  /** Places by key, built when the first change comes. A place may be wrong after an insertion before it: it is looked for then. */
  #byKey;
  #shown;

  constructor(rows = [], columns = []) {
    this.#rows = rows;
    this.#columns = columns;
  }

  get rows() {
    this.#shown ??= Object.freeze([...this.#rows]);
    return this.#shown;
  }

  apply(changes, isOrdered) {
    this.#shown = undefined;
    if (isOrdered) this.#applyOrdered(changes);
    else this.#applyUnordered(changes);
  }

  /** `oldIndex` counts before the delta, `index` after it: removals from behind, then insertions from the front. */
  #applyOrdered(changes) {
    const removed = changes.filter(({ oldIndex }) => oldIndex !== undefined).map(({ oldIndex }) => oldIndex).sort((one, other) => other - one);
    const added = changes.filter(({ index }) => index !== undefined).sort((one, other) => one.index - other.index);
    if (removed.length + added.length > 64) {
      const gone = new Set(removed);
      const kept = this.#rows.filter((_, index) => !gone.has(index));
      this.#rows = [];
      let next = 0;
      for (const { index, after } of added) {
        while (this.#rows.length < index && next < kept.length) this.#rows.push(kept[next++]);
        this.#rows.push(after);
      }
      while (next < kept.length) this.#rows.push(kept[next++]);
      return;
    }
    for (const index of removed) this.#rows.splice(index, 1);
    for (const { index, after } of added) this.#rows.splice(index, 0, after);
  }

  /** Updates first of what they were, then deletions, then insertions: a bag does not mind the order. */
  #applyUnordered(changes) {
    this.#byKey ??= this.#index();
    const gone = new Set();
    const placed = [];
    for (const { op, before, after } of changes) {
      if (op === "insert") continue;
      const place = this.#take(before);
      if (place === undefined) continue;
      if (op === "delete") gone.add(place);
      else placed.push([place, after]);
    }
    for (const [place, after] of placed) this.#put(after, place);
    if (gone.size > 0) {
      this.#rows = this.#rows.filter((_, index) => !gone.has(index));
      this.#byKey = undefined;
    }
    for (const { op, after } of changes) {
      if (op !== "insert") continue;
      this.#rows.push(after);
      if (this.#byKey) this.#remember(after, this.#rows.length - 1);
    }
  }

  #index() {
    this.#byKey = new Map();
    this.#rows.forEach((row, index) => this.#remember(row, index));
    return this.#byKey;
  }

  #remember(row, index) {
    const key = recordKey(row, this.#columns);
    const places = this.#byKey.get(key);
    if (places) places.push(index);
    else this.#byKey.set(key, [index]);
  }

  #take(row) {
    const key = recordKey(row, this.#columns);
    const places = this.#byKey.get(key);
    const place = places?.pop();
    if (places?.length === 0) this.#byKey.delete(key);
    return place;
  }

  #put(row, place) {
    this.#rows[place] = row;
    this.#remember(row, place);
  }
}
