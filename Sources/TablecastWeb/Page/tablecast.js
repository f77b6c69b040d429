// Tablecast's client: live changes of a SQLite database, queries as async iterators, presence.
// One module without dependencies, for browsers and Node 20+. Declarations: tablecast.d.ts.

const SUBPROTOCOL = "tablecast.v2";
const FINAL_CLOSE_CODES = new Set([1002, 1003, 1007, 1009, 4400, 4401, 4403]);
const PROMPT_CLOSE_CODES = new Set([4408, 4413]); // nothing is wrong with the server: come back at once
const CURSOR_INTERVAL_MS = 50; // the server lets 20 cursors a second through
const STABLE_CONNECTION_MS = 5_000; // a connection that held this long starts the backoff anew
const CANCEL = "cancel-"; // begins the ids of requests whose QUERY_NOT_FOUND says only that the query was quicker

/** Opens a connection that reopens itself until `close()`. */
export function connect(url, options = {}) {
  return new Client(url, options);
}

/** What went wrong, with the server's code (`SQL_ERROR`, `BUSY`, …) or the client's (`DISCONNECTED`, `CLOSED`, `CANCELLED`). */
export class TablecastError extends Error {
  constructor(message, code, details = {}) {
    super(message);
    this.name = "TablecastError";
    this.code = code;
    Object.assign(this, details);
  }
}

/** TEXT whose bytes are not UTF-8: kept as they are. */
export class InvalidText {
  constructor(bytes) {
    this.bytes = bytes;
  }
  toString() {
    return new TextDecoder().decode(this.bytes);
  }
}

/** A parameter that arrives as REAL though it is whole: JavaScript has one kind of number, and writes 3.0 as 3. */
export class Real {
  constructor(value) {
    this.value = Number(value);
  }
}

// MARK: Values

/** A value of the wire as JavaScript's own: BigInt beyond 2^53, Uint8Array for a BLOB. */
export function decodeValue(value) {
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$int64 === "string") return BigInt(value.$int64);
  if (typeof value.$base64 === "string") return bytesFromBase64(value.$base64);
  if (typeof value.$real === "string") return Number(value.$real);
  if (typeof value.$text === "string") return new InvalidText(bytesFromBase64(value.$text));
  return value;
}

/** A JavaScript value as the wire writes it; throws where SQLite has nothing to hold it. */
export function encodeValue(value) {
  switch (typeof value) {
    case "undefined":
      return null;
    case "string":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "number":
      if (Number.isFinite(value)) return value;
      return Number.isNaN(value) ? null : { $real: String(value) }; // SQLite, too, stores NaN as NULL
    case "bigint":
      if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} does not fit in 64 bits`);
      return { $int64: String(value) };
  }
  if (value === null) return null;
  if (value instanceof Real) return Number.isInteger(value.value) ? value : encodeValue(value.value);
  if (value instanceof InvalidText) return { $text: base64FromBytes(value.bytes) };
  if (value instanceof ArrayBuffer) return { $base64: base64FromBytes(new Uint8Array(value)) };
  if (ArrayBuffer.isView(value)) {
    return { $base64: base64FromBytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) };
  }
  throw new TypeError(`a parameter is null, a string, number, bigint, boolean or bytes, not ${typeof value}`);
}

function encodeParams(params) {
  if (params === undefined || params === null) return undefined;
  if (Array.isArray(params)) return params.map(encodeValue);
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, encodeValue(value)]));
}

function decodeRecord(record) {
  if (!record) return record;
  for (const name in record) {
    const value = record[name];
    if (value !== null && typeof value === "object") record[name] = decodeValue(value);
  }
  return record;
}

/** In place. What a row looks like is told by the message's type, never by its fields: a table may have columns of any name. */
const ROW_DECODERS = { "query:rows": decodeRow, "table:snapshot": decodeRow, "table:modified": decodeChange };

/** An array in the columns' order, or an object by column. */
function decodeRow(row) {
  if (!Array.isArray(row)) return decodeRecord(row);
  for (let index = 0; index < row.length; index++) {
    if (row[index] !== null && typeof row[index] === "object") row[index] = decodeValue(row[index]);
  }
  return row;
}

function decodeChange(change) {
  decodeRecord(change.key);
  decodeRecord(change.before);
  decodeRecord(change.after);
  if (change.rowid !== undefined) change.rowid = decodeValue(change.rowid);
}

const REAL_MARK = `real-${crypto.getRandomValues(new Uint32Array(4)).join("-")}:`; // in nobody's text by chance
const MARKED_REALS = new RegExp(`"${REAL_MARK}([^"]+)"`, "g");

/** JSON in which a whole `Real` keeps its point. */
function stringify(message) {
  const text = JSON.stringify(message, (_, value) => (value instanceof Real ? REAL_MARK + realText(value.value) : value));
  return text.includes(REAL_MARK) ? text.replace(MARKED_REALS, "$1") : text;
}

function realText(number) {
  const text = Object.is(number, -0) ? "-0" : String(number);
  return text.includes("e") ? text : `${text}.0`;
}

function bytesFromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

function base64FromBytes(bytes) {
  let binary = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}

// MARK: Client

/** Listeners by event name. A listener that throws is reported and stops nobody else. */
class Emitter {
  #listeners = new Map();

  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event).add(listener);
    return () => this.#listeners.get(event).delete(listener);
  }

  _emit(event, detail) {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(detail);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

class Client extends Emitter {
  state = "connecting";
  attempt = 0;
  retryAt = undefined;
  clientId = undefined;
  userId = undefined;
  server = undefined;
  database = undefined;
  position = undefined;
  latency = undefined;
  lastClose = undefined;
  #url;
  #options;
  #WebSocket;
  #socket;
  #username;
  #subscriptions = new Map();
  /** This connection has asked for a subscription to tables, which the next one replaces. */
  #hasTables = false;
  #queries = new Map();
  #presence;
  #retryTimer;
  #connectTimer;
  #heartbeatTimer;
  #heartbeat;
  #heardAt = 0;
  #openedAt = 0;
  #ids = identifierSource();

  constructor(url, options) {
    super();
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
    if (!this.#WebSocket) throw new TypeError("there is no WebSocket here: give its constructor as options.WebSocket");
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, "ws");
    this.#options = { minRetryDelay: 500, maxRetryDelay: 20_000, connectTimeout: 10_000, ...options };
    this.#username = options.username;
    globalThis.addEventListener?.("online", this.#retryWhenOnline);
    this.#open();
  }

  get username() {
    return this.#username;
  }

  /** Resolves when the server has acknowledged this connection, or the next one. */
  get ready() {
    if (this.state === "open") return Promise.resolve(this);
    if (this.state === "closed") return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => {
      const off = this.on("state", () => {
        if (this.state !== "open" && this.state !== "closed") return;
        off();
        this.state === "open" ? resolve(this) : reject(this.#closedError());
      });
    });
  }

  /** One subscription a channel: a second call replaces the first, on the server at one point between two messages. */
  subscribe(channel, options = {}) {
    this.#subscriptions.get(channel)?._end();
    const subscription = new Subscription(this, channel, options, this.#ids);
    this.#subscriptions.set(channel, subscription);
    if (this.state === "open") subscription._start();
    return subscription;
  }

  /** Runs SQL. Iterate it for rows, `batches()` for the fast way, or await `result`. */
  query(sql, options = {}) {
    const query = new Query(this, sql, options, this.#ids);
    if (this.state === "closed") query._fail(this.#closedError());
    if (query._finished) return query;
    this.#queries.set(query.id, query);
    query.result.catch(() => {}).finally(() => this.#queries.delete(query.id));
    if (this.state === "open") query._start();
    return query;
  }

  /** Who is here: joins the collaboration channel on first use. */
  get presence() {
    this.#presence ??= new Presence(this);
    return this.#presence;
  }

  /** Sets the name that others see, now and after every reconnect. */
  identify(username) {
    this.#username = username;
    if (this.state === "open") this._send("user:identify", { username });
    this.#presence?._renamed();
  }

  /** Tries now instead of at the end of the backoff. */
  retry() {
    if (this.state === "waiting") this.#open();
  }

  /** Asks the server to stop a query of this connection. */
  cancel(queryId) {
    const query = this.#queries.get(queryId);
    if (query) query.cancel();
    else if (this.state === "open") this._send("query:cancel", { queryId });
  }

  close() {
    if (this.state === "closed") return;
    this.#end(1000, "");
    this.#socket?.close(1000);
  }

  _send(type, data, fields = {}) {
    const id = fields.id ?? this.#ids();
    this.#socket.send(stringify({ id, type, ...fields, data }));
    return id;
  }

  /** Stops a query that has been sent; that it may end by itself before the server hears of it is no error. */
  _cancel(queryId) {
    if (this.state === "open") this._send("query:cancel", { queryId }, { id: CANCEL + this.#ids() });
  }

  /** Sends a subscription, which takes the place of the earlier one to the channel. */
  _subscribe(channel, data, id) {
    if (channel === "tables" && this.#hasTables) this._send("unsubscribe", {}, { channel });
    if (channel === "tables") this.#hasTables = true;
    this._send("subscribe", data, { id, channel });
  }

  _forget(subscription) {
    if (this.#subscriptions.get(subscription.channel) !== subscription) return;
    this.#subscriptions.delete(subscription.channel);
    if (this.state === "open") this._send("unsubscribe", {}, { channel: subscription.channel });
  }

  #retryWhenOnline = () => this.retry();

  #open() {
    clearTimeout(this.#retryTimer);
    this.#setState("connecting");
    const url = new URL(this.#url);
    if (this.#username) url.searchParams.set("username", this.#username);
    if (this.#options.accessToken) url.searchParams.set("access_token", this.#options.accessToken);
    const socket = new this.#WebSocket(url.href, [SUBPROTOCOL]);
    this.#socket = socket;
    let hasOpened = false;
    socket.onopen = () => (hasOpened = true);
    socket.onmessage = (event) => socket === this.#socket && this.#receive(event.data);
    socket.onclose = (event) => socket === this.#socket && this.#lost(event.code, event.reason);
    // A close event follows and says more; only Node 20 sends none after a handshake that failed.
    socket.onerror = () => socket === this.#socket && !hasOpened && this.#lost(1006, "");
    this.#connectTimer = setTimeout(() => {
      this.#lost(1006, "the server did not answer in time");
      socket.close();
    }, this.#options.connectTimeout);
  }

  #receive(text) {
    this.#heardAt = now();
    const message = JSON.parse(text);
    const { type, data } = message;
    if (isNewer(message.position, this.position)) this.position = message.position;
    if (Array.isArray(data?.rows) && Object.hasOwn(ROW_DECODERS, type)) data.rows.forEach(ROW_DECODERS[type]);

    if (type === "connection:ack") this.#acknowledged(data);
    if (type === "heartbeat" && this.#heartbeat && this.#heartbeat.id === message.replyTo) {
      this.latency = this.#heardAt - this.#heartbeat.sentAt;
      this.#heartbeat = undefined;
      this._emit("latency", this.latency);
    }
    if (type === "error") this.#refused(message);
    const query = type.startsWith("query:") ? this.#queries.get(data?.queryId) : undefined;
    query?._receive(type, data);
    if (type !== "query:rows") this.#subscriptions.get(message.channel)?._receive(message);
    this._emit("message", message);
  }

  #acknowledged(data) {
    clearTimeout(this.#connectTimer);
    this.clientId = data.clientId;
    this.userId = data.userId ?? data.clientId;
    this.server = data.serverInfo;
    this.database = data.database;
    this.position = data.position ?? this.position;
    this.#openedAt = now();
    this.#beat(Math.min(data.heartbeatInterval || 10_000, this.#options.heartbeatInterval ?? 10_000));
    for (const subscription of this.#subscriptions.values()) subscription._start();
    this.#setState("open");
    for (const query of this.#queries.values()) query._start();
  }

  #refused({ replyTo, data }) {
    if (data.code === "QUERY_NOT_FOUND" && replyTo?.startsWith(CANCEL)) return;
    const error = new TablecastError(data.message, data.code, { details: data.details });
    const owner = [...this.#queries.values(), ...this.#subscriptions.values()].find((each) => each._request === replyTo);
    if (replyTo !== undefined && owner) owner._fail(error);
    // The answer to a subscribe that another one has replaced since is news to nobody.
    else if (data.code !== "INTERRUPTED") this._emit("error", error);
  }

  /** Heartbeats measure the latency, and notice a connection that died without a word. */
  #beat(interval) {
    const beat = () => {
      if (this.#heartbeat && this.#heardAt < this.#heartbeat.sentAt) {
        const socket = this.#socket;
        this.#lost(4408, "the server stopped answering");
        return socket.close();
      }
      const sentAt = now();
      this.#heartbeat = { id: this._send("heartbeat", {}), sentAt };
    };
    beat();
    this.#heartbeatTimer = setInterval(beat, interval);
    this.#heartbeatTimer.unref?.();
  }

  #lost(code, reason) {
    if (FINAL_CLOSE_CODES.has(code) || this.state === "closed") return this.#end(code, reason);
    this.#disconnect(code, reason);
    if (this.#openedAt && now() - this.#openedAt >= STABLE_CONNECTION_MS) this.attempt = 0;
    this.#openedAt = 0;
    const { minRetryDelay, maxRetryDelay } = this.#options;
    const ceiling = Math.min(maxRetryDelay, minRetryDelay * 2 ** this.attempt);
    const prompt = PROMPT_CLOSE_CODES.has(code) && this.attempt === 0;
    const delay = prompt ? 0 : ceiling / 2 + (Math.random() * ceiling) / 2; // jitter: not everyone at once
    this.attempt += 1;
    this.retryAt = Date.now() + delay;
    this.#retryTimer = setTimeout(() => this.#open(), delay);
    this.#setState("waiting");
  }

  #disconnect(code, reason) {
    this.#socket = undefined;
    this.#hasTables = false;
    this.latency = undefined;
    this.lastClose = { code, reason };
    this.#heartbeat = undefined;
    clearTimeout(this.#connectTimer);
    clearInterval(this.#heartbeatTimer);
    for (const subscription of this.#subscriptions.values()) subscription._lost();
    for (const query of this.#queries.values()) query._lost();
  }

  #end(code, reason) {
    if (this.state === "closed") return;
    const socket = this.#socket;
    this.#disconnect(code, reason);
    this.#socket = socket;
    clearTimeout(this.#retryTimer);
    globalThis.removeEventListener?.("online", this.#retryWhenOnline);
    this.#setState("closed");
    for (const query of this.#queries.values()) query._fail(this.#closedError());
    for (const subscription of this.#subscriptions.values()) subscription._end(code === 1000 ? undefined : this.#closedError());
  }

  #closedError() {
    const { code, reason } = this.lastClose ?? { code: 1000 };
    return new TablecastError(reason || `the connection is closed (${code})`, "CLOSED", { closeCode: code });
  }

  #setState(state) {
    if (state !== "waiting") this.retryAt = undefined;
    this.state = state;
    this._emit("state", state);
  }
}

// MARK: Subscription

/**
 * The messages of one channel. A transaction's messages are handed over together, once its last one is here: what was cut
 * off by a lost connection is replayed whole, and nothing is delivered twice.
 */
class Subscription extends Emitter {
  position = undefined;
  recovered = undefined;
  _request = undefined;
  #client;
  #ids;
  #pending = [];
  /** The server's id of the subscription, which its messages name. */
  #id;
  #awaitsSnapshot = false;
  #isSnapshotComplete = true;
  #resumes = false;
  #started = false;
  #ready = settleable();
  #ended = false;
  #error;

  constructor(client, channel, options, ids) {
    super();
    this.#client = client;
    this.#ids = ids;
    this.channel = channel;
    this.options = options;
    this.position = options.since;
  }

  /** Resolves with the acknowledgement when the subscription is live for the first time. */
  get ready() {
    return this.#ready.promise;
  }

  /** Changes the filters without a gap: from the last position on, or with a new snapshot if one is asked for. */
  update(options) {
    this.options = options;
    if (options.snapshot) this.position = undefined;
    if (this.#client.state === "open") this._start();
  }

  close() {
    if (this.#ended) return;
    this._end();
    this.#client._forget(this);
  }

  /** Messages one by one, until the subscription is closed; throws when it is refused, or the connection is closed for good. */
  async *[Symbol.asyncIterator]() {
    const queue = [];
    let wake = () => {};
    const stops = [
      this.on("message", (message) => (queue.push(message), wake())),
      this.on("error", () => wake()),
      this.on("end", () => wake()),
    ];
    try {
      while (true) {
        while (queue.length > 0) yield queue.shift();
        if (this.#error) throw this.#error;
        if (this.#ended) return;
        await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      stops.forEach((stop) => stop());
    }
  }

  _start() {
    const { since: _, snapshot, ...filters } = this.options;
    this.#pending = [];
    this.#resumes = this.#started;
    const data = { ...filters };
    if (this.position !== undefined && this.channel === "tables") data.since = this.position;
    else if (snapshot) data.snapshot = true;
    this.#awaitsSnapshot = data.snapshot === true;
    this.#isSnapshotComplete = !this.#awaitsSnapshot;
    this.#error = undefined;
    this.#id = undefined; // what comes before the acknowledgement is of the subscription that this one replaces
    this._request = this.#ids(); // before sending: a fake socket may answer at once
    if (data.snapshot) this._emit("reset", undefined);
    this.#client._subscribe(this.channel, data, this._request);
  }

  _receive(message) {
    const { type, data } = message;
    if (type === "subscribed") return this.#acknowledged(message);
    if (type === "unsubscribed") return;
    if (this.channel === "tables" && data?.subscription !== this.#id) return; // of one that this one replaced
    if (type === "table:snapshot") {
      this.#awaitsSnapshot = false;
      this._emit("snapshot", data);
      return this._emit("message", message);
    }
    if (type === "snapshot:end") {
      this.#isSnapshotComplete = true;
      return this._emit("message", message);
    }
    if (this.#awaitsSnapshot) return; // of the subscription that this one replaces
    if (!data?.transaction) return this._emit("message", message);
    this.#pending.push(message);
    if (!data.transaction.last) return;
    const messages = this.#pending;
    this.#pending = [];
    this.position = data.transaction.position ?? message.position;
    this._emit("transaction", messages);
    for (const each of messages) this._emit("message", each);
  }

  #acknowledged({ replyTo, data }) {
    if (replyTo !== undefined && replyTo !== this._request) return; // of a subscribe that was replaced meanwhile
    this.#awaitsSnapshot = false;
    this.#id = data.subscription;
    this.recovered = data.recovered;
    if (data.recovered !== true) this.position = data.position ?? this.position;
    const resumed = this.#resumes;
    this.#started = true;
    this.#ready.resolve(data);
    this._emit("live", { position: data.position, recovered: data.recovered, resumed });
    if (data.recovered !== false) return;
    this._emit("gap", { position: data.position });
    if (this.options.snapshot) this.update(this.options);
  }

  _lost() {
    this.#pending = [];
    if (!this.#isSnapshotComplete) this.position = undefined; // half a snapshot is none: take a new one
  }

  _fail(error) {
    this.#error = error;
    this.#ready.reject(error);
    this._emit("error", error);
  }

  _end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#ready.reject(error ?? new TablecastError("the subscription was closed", "CLOSED"));
    this._emit("end", error);
  }
}

// MARK: Query

/** One running query. Breaking out of an iteration, or aborting the signal, cancels it on the server. */
class Query extends Emitter {
  progress = undefined;
  _request = undefined;
  _finished = false;
  #client;
  #ids;
  #data;
  #rowFormat;
  #signal;
  #batches = [];
  #wake = () => {};
  #error;
  #result = settleable();

  constructor(client, sql, options, ids) {
    super();
    const { params, signal, rowFormat = "objects", ...rest } = options;
    this.#client = client;
    this.#ids = ids;
    this.#rowFormat = rowFormat;
    this.id = options.queryId ?? ids();
    this.sql = sql;
    this.#data = { ...rest, sql, params: encodeParams(params), queryId: this.id, rowFormat: "arrays" };
    this.#signal = signal;
    if (signal?.aborted) this._fail(signal.reason);
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Resolves with the figures of `query:complete`; rejects with the error or the abort's reason. */
  get result() {
    return this.#result.promise;
  }

  /** Asks the server to stop; iteration and `result` then end with code `CANCELLED`. */
  cancel() {
    if (this._finished) return;
    if (this._request !== undefined) this.#client._cancel(this.id);
    else this._fail(new TablecastError("cancelled before it was sent", "CANCELLED", { reason: "client" }));
  }

  /** Batches of rows as arrays, in the columns' order, as they arrive. */
  async *batches() {
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
    }
  }

  /** Rows one by one: objects by column name, or arrays with `rowFormat: "arrays"`. */
  async *[Symbol.asyncIterator]() {
    for await (const { columns, rows } of this.batches()) {
      for (const row of rows) {
        this.#signal?.throwIfAborted();
        yield this.#rowFormat === "arrays" ? row : Object.fromEntries(columns.map((name, index) => [name, row[index]]));
      }
    }
  }

  #abort = () => {
    this.cancel();
    this.#batches = [];
    this._fail(this.#signal.reason);
  };

  _start() {
    if (this._request !== undefined) return;
    this._request = this.#ids();
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
        this.#batches.push({ ...data, columns: data.columns.map((column) => column.name ?? column) });
        return this.#wake();
      case "query:complete":
        if (data.lastInsertRowid !== undefined) data.lastInsertRowid = decodeValue(data.lastInsertRowid);
        return this.#finish(() => this.#result.resolve(data));
      case "query:error": {
        const { error, code, sqliteCode, sqlOffset, inTransaction } = data;
        return this._fail(new TablecastError(error, code, { sqliteCode, sqlOffset, inTransaction }));
      }
      case "query:cancelled": {
        const { reason, rowCount, duration, inTransaction } = data;
        return this._fail(new TablecastError(`cancelled (${reason})`, "CANCELLED", { reason, rowCount, duration, inTransaction }));
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
    this.#signal?.removeEventListener("abort", this.#abort);
    settle();
    this.#wake();
  }
}

// MARK: Presence

/** Who is connected and where their cursors are. */
class Presence extends Emitter {
  people = new Map();
  #client;
  #subscription;
  #cursor;
  #timer;

  constructor(client) {
    super();
    this.#client = client;
    this.#subscription = client.subscribe("collaboration");
    this.#subscription.on("message", (message) => this.#receive(message));
    this.#subscription.on("live", () => this._renamed());
  }

  /** To the others somebody new: who needs to hear where it is. */
  _renamed() {
    if (this.#cursor) this.moveCursor(this.#cursor);
  }

  /** Tells the others where this user is; the latest of the last 50 ms goes out. */
  moveCursor(cursor) {
    this.#cursor = cursor;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#client.state === "open") this.#client._send("user:cursor", this.#cursor);
    }, CURSOR_INTERVAL_MS);
  }

  #receive({ type, data }) {
    const known = this.people.get(data.userId);
    if (type === "user:list") {
      this.people = new Map(data.users.map((user) => [user.userId, { ...user, text: user.cursor?.text }]));
    } else if (type === "user:joined") {
      this.people.set(data.userId, { joinedAt: Date.now(), ...known, userId: data.userId, username: data.username });
    } else if (type === "user:left") {
      this.people.delete(data.userId);
    } else if (type === "user:cursor") {
      const { userId, username, ...cursor } = data;
      // Who is in a table, or in another's text, still has a text of its own.
      const isOwnText = cursor.position && (cursor.textOf ?? userId) === userId;
      const text = isOwnText ? cursor.text : known?.text;
      this.people.set(userId, { ...known, userId, username, cursor, text });
    } else {
      return;
    }
    this._emit("change", this.people);
  }
}

// MARK: Helpers

function settleable() {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }));
  deferred.promise.catch(() => {}); // whoever awaits it hears it; nobody has to
  return deferred;
}

/** Identifiers that differ between connections: `crypto.randomUUID` is missing on plain http beyond localhost. */
function identifierSource() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const prefix = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  let count = 0;
  return () => `${prefix}-${(count += 1)}`;
}

/** Whether a position is of another epoch or further on: while transactions are replayed, old ones come again. */
function isNewer(position, than) {
  if (position === undefined || than === undefined) return position !== undefined;
  const [[epoch, number], [oldEpoch, oldNumber]] = [position.split(":"), than.split(":")];
  return epoch !== oldEpoch || Number(number) > Number(oldNumber);
}

function now() {
  return performance.now();
}
