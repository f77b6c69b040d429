// One query: its rows as they come, its figures at the end.

import { Emitter, onAbort, quiet, settleable, TablecastError } from "./tablecast-core.js";
import { decodeValue, encodeParams } from "./tablecast-values.js";

/**
 * One running query. `await` it for its rows, iterate over it for rows as they come, `run()` for its figures alone.
 * Breaking out of an iteration, or aborting the signal, cancels it on the server. The failure of a query that no code waits for
 * is reported as an unhandled rejection.
 */
export class Query extends Emitter {
  progress = undefined;
  _request = undefined;
  _finished = false;
  #client;
  #data;
  #rowFormat;
  #signal;
  #forgetSignal = () => {};
  #batches = [];
  #isRead = false;
  #wake = () => {};
  #error;
  #result = settleable();

  constructor(client, sql, options) {
    super();
    const { params, signal, rowFormat = "objects", ...rest } = options;
    this.#client = client;
    this.#rowFormat = rowFormat;
    this.id = options.queryId ?? client._newId();
    this.sql = sql;
    this.#data = { ...rest, sql, params: encodeParams(params), queryId: this.id, rowFormat: "arrays" };
    this.#signal = signal;
    this.#forgetSignal = onAbort(signal, this.#abort);
  }

  /** Resolves with the figures of `query:complete`; rejects with the error or the abort's reason. */
  get result() {
    return this.#result.promise;
  }

  /** The same, for a statement whose rows do not matter: they are dropped as they come. */
  run() {
    this.#isRead = true;
    this.#batches = undefined;
    return this.#result.promise;
  }

  /** Every row, in memory. */
  async all() {
    const rows = [];
    for await (const row of this) rows.push(row);
    return rows;
  }

  /** The first row, or undefined if there is no row; the rest is not read. */
  async first() {
    for await (const row of this) return row;
    return undefined;
  }

  /** `await query` is `await query.all()`. */
  then(resolve, reject) {
    return this.all().then(resolve, reject);
  }

  /** Asks the server to stop; iteration and `result` then end with code `CANCELLED`. */
  cancel() {
    if (this._finished) return;
    quiet(this.#result.promise); // no news
    if (this._request !== undefined) this.#client._cancel(this.id);
    else this._fail(new TablecastError("cancelled before it was sent", "CANCELLED", { reason: "client" }));
  }

  /** Batches of rows as arrays, in the columns' order, as they arrive. Once, by one reader. */
  batches() {
    if (this.#isRead) throw new TablecastError("the rows of this query were read already, or dropped by run()", "ALREADY_READ");
    this.#isRead = true;
    quiet(this.#result.promise); // the reader gets the error
    return this.#read();
  }

  async *#read() {
    try {
      while (true) {
        while (this.#batches.length > 0) {
          this.#signal?.throwIfAborted();
          yield this.#batches.shift();
        }
        if (this.#error) throw this.#error;
        if (this._finished) return;
        await new Promise((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.cancel();
      this.#batches = undefined;
    }
  }

  /** Rows one by one: objects by column name, or arrays with `rowFormat: "arrays"`. */
  async *[Symbol.asyncIterator]() {
    for await (const { columns, rows } of this.batches()) {
      const names = uniqueNames(columns);
      for (const row of rows) {
        this.#signal?.throwIfAborted();
        yield this.#rowFormat === "arrays" ? row : Object.fromEntries(names.map((name, index) => [name, row[index]]));
      }
    }
  }

  #abort = () => {
    quiet(this.#result.promise);
    if (this._request !== undefined) this.#client._cancel(this.id);
    if (this.#batches) this.#batches = [];
    this._fail(this.#signal.reason);
  };

  _start() {
    if (this._request !== undefined) return;
    this._request = this.#client._newId();
    this.#client._send("query:execute", this.#data, { id: this._request });
  }

  _receive(type, data) {
    switch (type) {
      case "query:started":
        this.#client.userId = data.userId ?? this.#client.userId;
        return this._emit("started", data);
      case "query:progress":
        this.progress = data;
        return this._emit("progress", data);
      case "query:rows":
        this.#batches?.push({ ...data, columns: data.columns.map((column) => column.name ?? column) });
        return this.#wake();
      case "query:complete":
        if (data.lastInsertRowid !== undefined) data.lastInsertRowid = decodeValue(data.lastInsertRowid);
        return this.#finish(() => this.#result.resolve(data));
      case "query:error": {
        const { error, code, sqliteCode, sqlOffset, retryAfter, position, inTransaction } = data;
        return this._fail(new TablecastError(error, code, { sqliteCode, sqlOffset, retryAfter, position, inTransaction }));
      }
      case "query:cancelled": {
        const { reason, rowCount, duration, position, inTransaction } = data;
        return this._fail(new TablecastError(`cancelled (${reason})`, "CANCELLED", { reason, rowCount, duration, position, inTransaction }));
      }
    }
  }

  _lost() {
    if (this._request === undefined) return; // not sent yet: it goes out on the next connection
    this._fail(new TablecastError("the connection was lost while the query ran", "DISCONNECTED"));
  }

  _fail(error) {
    this.#finish(() => {
      this.#error = error;
      this.#result.reject(error);
    });
  }

  #finish(settle) {
    if (this._finished) return;
    this._finished = true;
    this.#forgetSignal();
    this.#client._finished(this);
    settle();
    this.#wake();
  }
}

/** As the server names the fields of objects: of several columns `n` the first is `n`, the next `n:1`. */
function uniqueNames(columns) {
  const used = new Set();
  return columns.map((name) => {
    let unique = name;
    for (let number = 1; used.has(unique); number++) unique = `${name}:${number}`;
    used.add(unique);
    return unique;
  });
}
