// A live query: the rows of a SELECT, kept current by what each commit changes in them.

import { Emitter, isNewer, mayPass, newestRows, onAbort, Retries, settleable, TablecastError } from "./tablecast-core.js";
import { encodeParams, recordKey, stringify, valueKey } from "./tablecast-values.js";

/**
 * The result of a SELECT as it is now. `rows` is a new array after every change and never altered, so that it can be compared
 * with `===`; rows that stay the same stay the same objects.
 *
 * Equal live queries of one connection are one for the server: the first one asks, and all of them take what comes.
 */
export class LiveQuery extends Emitter {
  id = undefined;
  columns = [];
  /** `incremental` or `rerun`: how the server keeps it. */
  plan = undefined;
  /** Why it is run again. */
  reason = undefined;
  tables = [];
  /** The columns that identify a row, where some do. */
  key = undefined;
  /** Whether the order is the query's. Without ORDER BY rows keep their places, and new ones come last. */
  ordered = false;
  position = undefined;
  error = undefined;
  /** Whether `rows` is a result: false until the first snapshot is complete. */
  isLive = false;
  _request = undefined;
  /** The request as it is sent: equal for equal queries. */
  _wire;
  /** The id at the server that `position` belongs to, also while the connection is lost. */
  #origin;
  #client;
  #sql;
  #data;
  #bag = new Bag();
  #incoming;
  #pending = [];
  #reset;
  #ready = settleable(true);
  #ended = false;
  #forgetSignal = () => {};
  #retries;

  constructor(client, sql, params, options) {
    super();
    this.#client = client;
    this.#retries = new Retries(client._options, () => client.state === "open" && this._start());
    this.#sql = sql;
    this.#data = { sql, params: encodeParams(params), key: options.key };
    this._wire = stringify(this.#data);
    this.#forgetSignal = onAbort(options.signal, () => this.close());
  }

  get sql() {
    return this.#sql;
  }

  get rows() {
    return this.#bag.rows;
  }

  /** Whether nothing follows any more: it was closed, refused, or ended by the server. */
  get isEnded() {
    return this.#ended;
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
    return newestRows(this, () => ({ error: this.#ended ? this.error : undefined, isEnded: this.#ended }));
  }

  /** For `useSyncExternalStore` and its like. */
  subscribe = (listener) => {
    const stops = ["change", "live", "error", "end"].map((event) => this.on(event, listener));
    return () => stops.forEach((stop) => stop());
  };

  _start() {
    this.#retries.stop();
    this.#incoming = undefined;
    this.#pending = [];
    const equal = this.#client._equalLive(this);
    if (equal) return this.#join(equal);
    this._request = this.#client._newId();
    const resumed = this.isLive ? { since: this.position, resumes: this.#origin } : {};
    this.#client._send("query:subscribe", { ...this.#data, ...resumed }, { id: this._request });
  }

  /** Takes over how far an equal one is, and goes on with it. */
  #join(other) {
    const { _request, id, plan, reason, tables, key, ordered, columns, position } = other;
    Object.assign(this, { _request, id, plan, reason, tables, key, ordered, columns, position });
    if (id !== undefined) this.#begun();
    this.#origin = other.#origin;
    this.#incoming = other.#incoming && [...other.#incoming];
    this.#pending = [...other.#pending];
    if (this.isLive || !other.isLive) return;
    this.#bag = new Bag([...other.rows], columns);
    this.isLive = true;
    this.#ready.resolve(this.rows);
    const change = { rows: [], reset: true, transactions: 0, position };
    queueMicrotask(() => !this.#ended && this._emit("change", change)); // its listeners are not there yet
  }

  /** The server keeps it. */
  #begun() {
    this.error = undefined;
    this.#retries.succeeded();
  }

  _acknowledged({ data }) {
    this._request = undefined;
    this.#begun();
    this.#origin = this.id = data.subscription;
    this.plan = data.plan;
    this.reason = data.reason;
    this.key = data.key;
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
      this.#bag = this.#bag.replaced(rows, this.columns);
      this.#changed(position, { rows: [], reset: true, transactions: 0 });
      this.isLive = true;
      this.#ready.resolve(this.rows);
      this._emit("change", this.#reset);
    } else if (type === "query:changed") {
      if (!isNewer(position, this.position)) return; // replayed for another one
      for (const change of data.rows) this.#pending.push(change);
      if (!data.last) return;
      const changes = this.ordered || this.key !== undefined ? this.#pending : paired(this.#pending, this.columns);
      this.#pending = [];
      this.#bag.apply(changes, this.ordered);
      this.#changed(position, { rows: changes, reset: false, transactions: data.transactions ?? 1 });
      this._emit("change", this.#reset);
    } else if (type === "query:unsubscribed") {
      const error = new TablecastError(data.reason ?? "the live query was ended by the server", data.code ?? "NOT_LIVE");
      if (data.code !== undefined && mayPass(error, true)) return this.#retryAfter(error);
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
    this.#retries.stop();
    this.id = undefined;
    this._request = undefined;
    this.#incoming = undefined;
    this.#pending = [];
  }

  #retryAfter(error) {
    this._lost();
    this.error = Object.assign(error, { willRetry: true });
    this.#retries.later(error);
    this._emit("error", error);
  }

  _fail(error) {
    if (mayPass(error, this.#origin !== undefined)) return this.#retryAfter(error);
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
    this.#retries.stop();
    this.#forgetSignal();
    this.#ready.reject(error ?? new TablecastError("the live query was closed", "CLOSED"));
    this._emit("end", error);
  }
}

/** Rows that may be equal, in order; found by their values. */
class Bag {
  /** A deleted row leaves a hole, so that the places of the others stay right. */
  #rows;
  #holes = 0;
  #columns;
  /** The places of equal rows by their values; built when the first unordered change comes. */
  #places;
  #shown;

  constructor(rows = [], columns = []) {
    this.#rows = rows;
    this.#columns = columns;
  }

  get rows() {
    this.#shown ??= Object.freeze(this.#holes > 0 ? this.#rows.filter(isRow) : [...this.#rows]);
    return this.#shown;
  }

  /** New rows in place of these; those that are equal to one of these become the same object. */
  replaced(rows, columns) {
    if (this.#rows.length === 0 || columns.length !== this.#columns.length || columns.some((name, index) => name !== this.#columns[index])) return new Bag(rows, columns);
    const known = new Bag([...this.rows], columns);
    return new Bag(rows.map((row) => known.#take(row) ?? row), columns);
  }

  /** In place of `before` each change gets the object that `rows` had. */
  apply(changes, isOrdered) {
    this.#shown = undefined;
    if (isOrdered) this.#applyOrdered(changes);
    else this.#applyUnordered(changes);
  }

  /** `oldIndex` counts before the delta, `index` after it: removals from the last to the first, then insertions from the first to the last. */
  #applyOrdered(changes) {
    const removed = [];
    for (const change of changes) {
      if (change.oldIndex === undefined) continue;
      change.before = this.#rows[change.oldIndex];
      removed.push(change.oldIndex);
    }
    removed.sort((one, other) => other - one);
    const added = changes.filter(({ index }) => index !== undefined).sort((one, other) => one.index - other.index);
    if (removed.length + added.length > 64) return this.#merge(new Set(removed), added);
    for (const index of removed) this.#rows.splice(index, 1);
    for (const { index, after } of added) this.#rows.splice(index, 0, after);
  }

  /** The same in one pass, for many changes. */
  #merge(removed, added) {
    const kept = this.#rows.filter((_, index) => !removed.has(index));
    this.#rows = [];
    let next = 0;
    for (const { index, after } of added) {
      while (this.#rows.length < index && next < kept.length) this.#rows.push(kept[next++]);
      this.#rows.push(after);
    }
    while (next < kept.length) this.#rows.push(kept[next++]);
  }

  /** All rows are taken out first, because one row may become what another one was. */
  #applyUnordered(changes) {
    const placed = [];
    for (const change of changes) {
      if (change.op === "insert") continue;
      const place = this.#placeOf(change.before);
      if (place === undefined) continue;
      change.before = this.#rows[place];
      if (change.op === "update") placed.push([place, change.after]);
      else {
        this.#rows[place] = undefined;
        this.#holes += 1;
      }
    }
    for (const [place, after] of placed) this.#put(after, place);
    for (const { op, after } of changes) if (op === "insert") this.#put(after, this.#rows.length);
    if (this.#holes > 16 && this.#holes > this.#rows.length / 2) {
      this.#rows = this.#rows.filter(isRow);
      this.#holes = 0;
      this.#places = undefined;
    }
  }

  #take(row) {
    const place = this.#placeOf(row);
    return place === undefined ? undefined : this.#rows[place];
  }

  /** The place of a row that is equal, which is forgotten. */
  #placeOf(row) {
    this.#places ??= this.#index();
    const key = recordKey(row, this.#columns);
    const places = this.#places.get(key);
    if (places === undefined) return undefined;
    if (typeof places === "number") {
      this.#places.delete(key);
      return places;
    }
    const place = places.shift();
    if (places.length === 0) this.#places.delete(key);
    return place;
  }

  #index() {
    const places = new Map();
    this.#rows.forEach((row, place) => row !== undefined && remember(places, recordKey(row, this.#columns), place));
    return places;
  }

  #put(row, place) {
    this.#rows[place] = row;
    if (this.#places) remember(this.#places, recordKey(row, this.#columns), place);
  }
}

const MOST_PAIRED = 64;

/**
 * Without a key the server says of a row that changed that one went and another one came. Those that have most columns in common are
 * taken for one, which keeps its place.
 */
function paired(changes, columns) {
  const gone = changes.filter(({ op }) => op === "delete");
  const come = new Set(changes.filter(({ op }) => op === "insert"));
  if (gone.length === 0 || come.size === 0 || gone.length > MOST_PAIRED || come.size > MOST_PAIRED) return changes;
  const rest = new Set(changes);
  const updates = [];
  for (const one of gone) {
    let best;
    let mostCommon = 0;
    for (const other of come) {
      const common = columns.filter((name) => valueKey(one.before[name]) === valueKey(other.after[name])).length;
      if (common > mostCommon) [best, mostCommon] = [other, common];
    }
    if (!best) continue;
    come.delete(best);
    rest.delete(one);
    rest.delete(best);
    updates.push({ op: "update", before: one.before, after: best.after });
  }
  return [...updates, ...rest];
}

const isRow = (row) => row !== undefined;

/** A number for a row that has no equal: most have none. */
function remember(places, key, place) {
  const others = places.get(key);
  if (others === undefined) places.set(key, place);
  else if (typeof others === "number") places.set(key, [others, place]);
  else others.push(place);
}
