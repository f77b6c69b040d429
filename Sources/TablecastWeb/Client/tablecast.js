// Tablecast's client: live queries and tables of a SQLite database, queries as async iterators, changes, presence.
// Without dependencies, for browsers and Node 20+. Declarations: tablecast.d.ts. Hooks for React: tablecast-react.js.

import { Emitter, epochOf, identifierSource, isNewer, now, quiet, retryDelay, settleable, TablecastError } from "./tablecast-core.js";
import { LiveQuery } from "./tablecast-live.js";
import { Presence } from "./tablecast-presence.js";
import { Query } from "./tablecast-query.js";
import { closeRefusal, probe } from "./tablecast-refusal.js";
import { Subscription } from "./tablecast-subscription.js";
import { LiveTable } from "./tablecast-table.js";
import { decodeRecord, decodeValue, encodeRecord, encodeValue, ROW_DECODERS, stringify } from "./tablecast-values.js";

export { TablecastError } from "./tablecast-core.js";
export { decodeValue, encodeValue, InvalidText, Real } from "./tablecast-values.js";

const SUBPROTOCOLS = ["tablecast.v2", "tablecast.v1"];
const PROMPT_CLOSE_CODES = new Set([4408, 4413]); // nothing is wrong with the server: come back at once
const STABLE_CONNECTION_MS = 5_000; // a connection that held this long starts the backoff again
const RENEWAL_LEAD_MS = 60_000; // how long before its expiry a token is renewed; sooner for one that lasts less than twice that
const MIN_RENEWAL_DELAY_MS = 1_000;
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Messages with the position of what the client itself has committed. */
const WITH_OWN_POSITION = new Set(["query:complete", "row:written"]);
const CANCEL = "cancel-"; // prefix of request ids whose QUERY_NOT_FOUND only means that the query had already ended

/** Opens a connection that reopens itself until `close()`, or until the server refuses it. */
export function connect(url, options = {}) {
  return new Client(url, options);
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
  /** When the token expires, in Unix milliseconds of the server's clock. */
  expiresAt = undefined;
  latency = undefined;
  lastClose = undefined;
  /** Why the server will not have this connection, `{ reason, message }`; no reconnect follows. */
  refusal = undefined;
  #url;
  #options;
  #WebSocket;
  #socket;
  #username;
  /** A token, or the function that returns one. */
  #accessToken;
  #subscriptions = new Set();
  #queries = new Map();
  #live = new Set();
  /** Rows on their way, by the id of their request. */
  #writes = new Map();
  /** Heartbeats that ask whether the server has sent everything, by their id. */
  #reaches = new Map();
  /** The epochs that this connection has met, and the first position of the last one. */
  #epochs = new Set();
  #epochStart;
  /** Tokens that are being checked, by the id of their request. */
  #renewals = new Map();
  #presence;
  #renewalTimer;
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
    if (!this.#WebSocket) throw new TypeError("there is no WebSocket here: give its constructor as options.WebSocket, such as that of the package ws");
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, "ws");
    this.#options = { minRetryDelay: 500, maxRetryDelay: 20_000, connectTimeout: 10_000, ...options };
    this.#username = options.username;
    this.#accessToken = options.accessToken;
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

  /** Adds a subscription; those there are go on. */
  subscribe(channel, options = {}) {
    const subscription = new Subscription(this, channel, options);
    if (this.state === "closed") subscription._end(this.#closedError());
    else this.#subscriptions.add(subscription);
    if (this.state === "open") subscription._start();
    return subscription;
  }

  /** Runs SQL. `await` it for its rows, iterate it for rows as they come, `run()` for the figures alone. */
  query(sql, options = {}) {
    const query = new Query(this, sql, options);
    if (this.state === "closed") query._fail(this.#closedError());
    if (query._finished) return query;
    this.#queries.set(query.id, query);
    if (this.state === "open") query._start();
    return query;
  }

  /** A SELECT whose rows stay current. */
  live(sql, params, options = {}) {
    const live = new LiveQuery(this, sql, params, options);
    if (this.state === "closed") live._end(this.#closedError());
    else if (!options.signal?.aborted) this.#live.add(live);
    if (this.state === "open" && this.#live.has(live)) live._start();
    return live;
  }

  /** A table's rows, or those that `where` lets through, which stay current and can be written. */
  table(name, options = {}) {
    return new LiveTable(this, name, options);
  }

  /** Writes one row by its key; rejects with `CONFLICT` and `error.row` if the row differs from `before`. */
  async writeRow({ table, op, key, rowid, before, values, queryId, timeout }) {
    const data = { table, op, queryId, timeout };
    if (key) data.key = encodeRecord(key);
    if (rowid !== undefined) data.rowid = encodeValue(rowid);
    if (before) data.before = encodeRecord(before);
    if (values) data.values = encodeRecord(values);
    while (this.state !== "open") await this.ready;
    const written = settleable();
    const id = this.#ids();
    this.#writes.set(id, written);
    this._send("row:write", data, { id });
    return written.promise;
  }

  /**
   * Resolves when everything up to a position has arrived that this client is subscribed to: after
   * `await db.seen((await db.query(sql).run()).position)` its live queries and tables show the write, also over a lost connection.
   */
  async seen(position) {
    if (position === undefined) return;
    await this.#tablesAreCurrent();
    await Promise.all([...this.#live].map((live) => this.#reached(live, position)));
  }

  /** Everything that is committed now has arrived for the subscriptions to tables: live, replayed, or in a snapshot. */
  async #tablesAreCurrent() {
    while (true) {
      while (this.state !== "open") await this.ready;
      if (!(await this.#everythingIsSent())) continue; // the connection was lost
      const behind = [...this.#subscriptions].filter((each) => each.channel === "tables" && !each._isSettled);
      if (behind.length === 0) return;
      // A snapshot can be older than what was committed while it was sent.
      await Promise.all(behind.map((each) => this.#settled(each)));
    }
  }

  /** Resolves with true when the server has sent everything that is committed now, apart from snapshots; with false when the connection is lost. */
  #everythingIsSent() {
    const { promise, resolve } = settleable();
    const id = this._send("heartbeat", { afterReplay: true });
    this.#reaches.set(id, resolve);
    return promise;
  }

  #settled(subscription) {
    return until(() => subscription._isSettled, [subscription, "live", "complete", "error", "end"], [this, "state"]);
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

  /**
   * Continues with another token of the same user, now and after every reconnect: subscriptions and queries go on. Resolves with
   * `{ expiresAt }`; rejects if the server refuses it, and the connection stays with the previous one.
   */
  async renew(accessToken) {
    if (this.state !== "open") {
      this.#accessToken = accessToken;
      await this.ready;
      return { expiresAt: this.expiresAt };
    }
    const renewed = settleable();
    const id = this.#ids();
    this.#renewals.set(id, { ...renewed, accessToken });
    this._send("token:renew", { token: accessToken }, { id });
    return renewed.promise;
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
    for (const query of this.#queries.values()) quiet(query.result); // it is given up
    this.#end(1000, "");
    this.#socket?.close(1000);
  }

  // MARK: For the parts

  get _options() {
    return this.#options;
  }

  _newId() {
    return this.#ids();
  }

  _send(type, data, fields = {}) {
    const id = fields.id ?? this.#ids();
    this.#socket.send(stringify({ id, type, ...fields, data }));
    return id;
  }

  /** Stops a query that has been sent; that it may end by itself before that arrives is no error. */
  _cancel(queryId) {
    if (this.state === "open") this._send("query:cancel", { queryId }, { id: CANCEL + this.#ids() });
  }

  _finished(query) {
    this.#queries.delete(query.id);
  }

  /** Whether another subscription stands on the same one of the server. */
  _isShared(subscription) {
    for (const other of this.#subscriptions) {
      if (other === subscription || other.channel !== subscription.channel) continue;
      if (other.channel !== "tables" || other.id === subscription.id) return true;
    }
    return false;
  }

  /** Another subscription of the same filter that waits for its snapshot. */
  _equalSnapshot(subscription) {
    for (const other of this.#subscriptions) {
      if (other !== subscription && other.channel === subscription.channel && other._wire === subscription._wire && other._awaitsSnapshot) return other;
    }
    return undefined;
  }

  _forget(subscription) {
    const isShared = this._isShared(subscription);
    this.#subscriptions.delete(subscription);
    if (this.state !== "open" || isShared) return;
    if (subscription.channel !== "tables") this._send("unsubscribe", {}, { channel: subscription.channel });
    else if (subscription.id !== undefined) this.#unsubscribe(subscription.id);
    for (const other of this.#subscriptions) if (other._request === subscription._request) return; // it gets the answer
    if (subscription._request !== undefined) this.#orphans.add(subscription._request);
  }

  /** Another live query of the same request that was sent to this server. */
  _equalLive(live) {
    for (const other of this.#live) if (other !== live && other._wire === live._wire && (other._request ?? other.id) !== undefined) return other;
    return undefined;
  }

  _forgetLive(live) {
    this.#live.delete(live);
    if (this.state !== "open") return;
    for (const other of this.#live) if (other._wire === live._wire || (live.id !== undefined && other.id === live.id)) return;
    if (live.id !== undefined) this._send("query:unsubscribe", { subscription: live.id });
    else if (live._request !== undefined) this.#orphans.add(live._request);
  }

  // MARK: The connection

  #retryWhenOnline = () => this.retry();

  #open() {
    clearTimeout(this.#retryTimer);
    this.#setState("connecting");
    this.#connectTimer = setTimeout(() => {
      const socket = this.#socket;
      this.#tokenAttempt = undefined;
      this.#lost(1006, socket ? "the server did not answer in time" : "there was no token in time");
      socket?.close();
    }, this.#options.connectTimeout);
    if (typeof this.#accessToken !== "function") return this.#openWith(this.#accessToken);
    const attempt = (this.#tokenAttempt = {});
    const isCurrent = () => attempt === this.#tokenAttempt && this.state === "connecting";
    new Promise((resolve) => resolve(this.#accessToken())).then(
      (token) => isCurrent() && this.#openWith(token),
      (error) => isCurrent() && this.#lost(1006, `there is no token: ${error?.message ?? error}`),
    );
  }

  /** The attempt to connect that waits for a token. */
  #tokenAttempt;

  #openWith(accessToken) {
    const url = new URL(this.#url);
    if (this.#username) url.searchParams.set("username", this.#username);
    if (accessToken) url.searchParams.set("access_token", accessToken);
    const socket = new this.#WebSocket(url.href, SUBPROTOCOLS);
    this.#socket = socket;
    let hasOpened = false;
    socket.onopen = () => (hasOpened = true);
    socket.onmessage = (event) => {
      hasOpened = true;
      if (socket === this.#socket) this.#receive(event.data);
    };
    socket.onclose = (event) => socket === this.#socket && (hasOpened || event.code !== 1006 ? this.#lost(event.code, event.reason) : this.#notOpened(accessToken));
    // A close event with details follows; only Node 20 sends none after a failed handshake.
    socket.onerror = () => socket === this.#socket && !hasOpened && this.#notOpened(accessToken);
  }

  /** A handshake failed, and a browser does not say why: the same address over HTTP may. */
  async #notOpened(accessToken) {
    const socket = this.#socket;
    this.#socket = undefined; // its other event has the same meaning
    clearTimeout(this.#connectTimer);
    const found = await probe(this.#url, { ...this.#options, accessToken });
    if (this.#socket !== undefined || this.state !== "connecting") return; // closed meanwhile
    this.#socket = socket;
    if (found) return this.#refuse(found);
    this.#lost(1006, "");
  }

  #receive(text) {
    this.#heardAt = now();
    const message = JSON.parse(text);
    const { type, data } = message;
    if (isNewer(message.position, this.position)) this.position = message.position;
    if (type !== "connection:ack") this.#meet(message.position ?? (WITH_OWN_POSITION.has(type) ? data.position : undefined));
    if (Array.isArray(data?.rows) && Object.hasOwn(ROW_DECODERS, type)) data.rows.forEach(ROW_DECODERS[type]);
    if (type === "table:snapshot" && data.rowids) data.rowids = data.rowids.map(decodeValue);

    switch (type) {
      case "connection:ack":
        this.#acknowledged(data);
        break;
      case "heartbeat":
        this.#heartbeatAnswered(message);
        break;
      case "error":
        this.#failed(message);
        break;
      case "subscribed":
        this.#subscribed(message);
        break;
      case "row:written":
        this.#written(message);
        break;
      case "token:renewed":
        this.#renewed(message);
        break;
      case "query:subscribed":
      case "query:unsubscribed":
      case "query:snapshot":
      case "query:changed":
      case "query:reached":
        this.#receiveLive(message);
        break;
      default:
        this.#deliver(message);
    }
    this._emit("message", message);
  }

  #deliver(message) {
    const { type, channel, data } = message;
    if (type.startsWith("query:")) this.#queries.get(data?.queryId)?._receive(type, data);
    if (type === "query:rows" || type === "unsubscribed" || type === "transaction:end") return;
    for (const subscription of this.#subscriptions) {
      const isFor = subscription.channel === channel && (data?.subscription === undefined || data.subscription === subscription.id);
      if (isFor) subscription._receive(message);
    }
  }

  /** Answers of subscriptions that were closed or replaced before they came. */
  #orphans = new Set();

  #subscribed(message) {
    const { replyTo, channel, data } = message;
    if (replyTo === undefined) return this.#restarted(message);
    const ofChannel = [...this.#subscriptions].filter((subscription) => subscription.channel === (data.channel ?? channel));
    const owners = ofChannel.filter((subscription) => subscription._request === replyTo);
    owners.forEach((owner) => owner._acknowledged(message));
    for (const subscription of ofChannel) {
      if (owners.includes(subscription)) continue;
      if (subscription._stale.has(replyTo)) subscription._stale.set(replyTo, data.subscription);
      else if (data.subscription !== undefined && subscription.id === data.subscription) subscription._restarted(message);
    }
    if (this.#orphans.delete(replyTo)) this.#unsubscribe(data.subscription);
    for (const owner of owners) {
      for (const id of owner._stale.values()) this.#unsubscribe(id);
      owner._stale.clear();
    }
  }

  /** The database was replaced, or continuity was lost: the server reports it for each subscription. */
  #restarted({ data }) {
    for (const subscription of this.#subscriptions) if (subscription.channel === data.channel && subscription.id === data.subscription) subscription._lostContinuity(data);
  }

  /** Ends what no subscription stands on any more. */
  #unsubscribe(id) {
    if (id === undefined || [...this.#subscriptions].some((each) => each.id === id)) return;
    this._send("unsubscribe", { subscription: id }, { channel: "tables" });
  }

  #receiveLive(message) {
    const { type, replyTo, data, position } = message;
    if (type === "query:reached") return this.#live.forEach((live) => live._reached(position));
    if (type === "query:subscribed") {
      const asking = [...this.#live].filter(({ _request }) => _request === replyTo);
      if (asking.length > 0) return asking.forEach((live) => live._acknowledged(message));
      if (this.#orphans.delete(replyTo)) this._send("query:unsubscribe", { subscription: data.subscription });
      return;
    }
    for (const live of this.#live) if (live.id === data.subscription) live._receive(message);
  }

  #reached(live, position) {
    const hasReached = () => {
      if (live.isEnded) return true;
      // A position of an earlier epoch cannot be compared: what the present epoch began with is later.
      const isOfEarlierEpoch = this.#epochStart !== undefined && epochOf(position) !== epochOf(this.#epochStart);
      const target = isOfEarlierEpoch ? this.#epochStart : position;
      return live.isLive && epochOf(live.position) === epochOf(target) && !isNewer(target, live.position);
    };
    return until(hasReached, [live, "change", "reached", "end"]);
  }

  /** Messages of an epoch can arrive after the first one of the next. */
  #meet(position) {
    const epoch = epochOf(position);
    if (epoch === undefined || this.#epochs.has(epoch)) return;
    this.#epochs.add(epoch);
    this.#epochStart = position;
  }

  #heartbeatAnswered({ replyTo }) {
    if (this.#heartbeat && this.#heartbeat.id === replyTo) {
      this.latency = this.#heardAt - this.#heartbeat.sentAt;
      this.#heartbeat = undefined;
      this._emit("latency", this.latency);
    }
    this.#reaches.get(replyTo)?.(true);
    this.#reaches.delete(replyTo);
  }

  #written({ replyTo, data }) {
    decodeRecord(data.row);
    if (data.rowid !== undefined) data.rowid = decodeValue(data.rowid);
    this.#writes.get(replyTo)?.resolve(data);
    this.#writes.delete(replyTo);
  }

  #acknowledged(data) {
    clearTimeout(this.#connectTimer);
    this.clientId = data.clientId;
    this.userId = data.userId ?? data.clientId;
    this.server = data.serverInfo;
    this.database = data.database;
    this.position = data.position ?? this.position;
    this.#epochs.clear();
    this.#epochStart = undefined;
    this.#meet(data.position);
    this.#openedAt = now();
    this.#expires(data.expiresAt, data.connectedAt);
    this.#beat(Math.min(data.heartbeatInterval || 10_000, this.#options.heartbeatInterval ?? 10_000));
    for (const subscription of this.#subscriptions) subscription._start();
    for (const live of this.#live) live._start();
    this.#setState("open");
    for (const query of this.#queries.values()) query._start();
  }

  #failed({ replyTo, data }) {
    if (data.code === "QUERY_NOT_FOUND" && replyTo?.startsWith(CANCEL)) return;
    if (this.#orphans.delete(replyTo)) return;
    const details = data.details;
    if (details?.row) decodeRecord(details.row);
    const error = new TablecastError(data.message, data.code, { details, row: details?.row, sqliteCode: details?.sqliteCode, sqlOffset: details?.sqlOffset, retryAfter: details?.retryAfter, inTransaction: details?.inTransaction });
    for (const pending of [this.#writes, this.#renewals]) {
      const request = pending.get(replyTo);
      if (!request) continue;
      pending.delete(replyTo);
      return request.reject(error);
    }
    const isOwner = (each) => replyTo !== undefined && (each._request === replyTo || each._answered === replyTo);
    const owners = [...this.#queries.values(), ...this.#subscriptions, ...this.#live].filter(isOwner);
    if (owners.length > 0) owners.forEach((owner) => (data.code === "INTERRUPTED" && owner._interrupted?.()) || owner._fail(error));
    // The answer to a subscribe that another one has replaced since concerns no subscription.
    else if (data.code !== "INTERRUPTED") this._emit("error", error);
  }

  // MARK: The token

  #renewed({ replyTo, timestamp, data }) {
    const renewal = this.#renewals.get(replyTo);
    this.#renewals.delete(replyTo);
    // A function stays: its next token is newer.
    if (renewal && typeof this.#accessToken !== "function") this.#accessToken = renewal.accessToken;
    this.#expires(data.expiresAt, timestamp);
    renewal?.resolve(data);
  }

  /** Renews the token in time, if there is a function for it. Both times are of the server's clock, which need not be this one's. */
  #expires(expiresAt, serverNow) {
    this.expiresAt = expiresAt;
    clearTimeout(this.#renewalTimer);
    if (expiresAt === undefined || typeof this.#accessToken !== "function") return;
    const rest = expiresAt - serverNow;
    this.#renewLater(now() + rest, rest - Math.min(RENEWAL_LEAD_MS, rest / 2));
  }

  /** After a failure tries again in half of the time that is left. */
  #renewLater(expiry, delay) {
    this.#renewalTimer = setTimeout(async () => {
      if (delay > MAX_TIMER_MS) return this.#renewLater(expiry, delay - MAX_TIMER_MS);
      const socket = this.#socket;
      try {
        const token = await this.#accessToken();
        if (socket === this.#socket && this.state === "open") await this.renew(token);
      } catch (error) {
        if (socket !== this.#socket || this.state !== "open") return;
        this._emit("error", error instanceof TablecastError ? error : new TablecastError(`there is no token: ${error?.message ?? error}`, "UNAUTHORIZED"));
        const rest = (expiry - now()) / 2;
        if (rest > MIN_RENEWAL_DELAY_MS) this.#renewLater(expiry, rest);
      }
    }, Math.min(Math.max(delay, 0), MAX_TIMER_MS));
    this.#renewalTimer.unref?.();
  }

  /** Heartbeats measure the latency, and notice a connection that died without a close. */
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
    if (this.state === "closed") return;
    // A token that has expired, while this device slept or its provider was away: the function may return a new one.
    const hasNewToken = code === 4401 && typeof this.#accessToken === "function" && this.#openedAt !== 0;
    const refusal = hasNewToken ? undefined : closeRefusal(code, reason);
    if (refusal) return this.#refuse(refusal, code, reason);
    this.#disconnect(code, reason);
    if (this.#openedAt && now() - this.#openedAt >= STABLE_CONNECTION_MS) this.attempt = 0;
    this.#openedAt = 0;
    const prompt = PROMPT_CLOSE_CODES.has(code) && this.attempt === 0;
    const delay = prompt ? 0 : retryDelay(this.#options, this.attempt);
    this.attempt += 1;
    this.retryAt = Date.now() + delay;
    this.#setState("waiting");
    if (this.state === "waiting") this.#retryTimer = setTimeout(() => this.#open(), delay);
  }

  #disconnect(code, reason) {
    this.#socket = undefined;
    this.latency = undefined;
    this.lastClose = { code, reason };
    this.#heartbeat = undefined;
    clearTimeout(this.#connectTimer);
    clearInterval(this.#heartbeatTimer);
    clearTimeout(this.#renewalTimer);
    for (const subscription of this.#subscriptions) subscription._lost();
    for (const live of this.#live) live._lost();
    for (const query of [...this.#queries.values()]) query._lost();
    this.#orphans.clear();
    const unanswered = new TablecastError("the connection was lost before the answer", "DISCONNECTED");
    for (const renewal of this.#renewals.values()) renewal.reject(unanswered);
    this.#renewals.clear();
    const error = new TablecastError("the connection was lost before the answer: the row may be written or not", "DISCONNECTED");
    for (const write of this.#writes.values()) write.reject(error);
    this.#writes.clear();
    for (const resolve of this.#reaches.values()) resolve(false);
    this.#reaches.clear();
  }

  #refuse(refusal, code = 1006, reason = refusal.message) {
    this.refusal = refusal;
    this.#end(code, reason);
  }

  #end(code, reason) {
    if (this.state === "closed") return;
    const socket = this.#socket;
    this.#disconnect(code, reason);
    this.#socket = socket;
    clearTimeout(this.#retryTimer);
    globalThis.removeEventListener?.("online", this.#retryWhenOnline);
    this.#setState("closed");
    for (const query of [...this.#queries.values()]) query._fail(this.#closedError());
    for (const subscription of this.#subscriptions) subscription._end(code === 1000 ? undefined : this.#closedError());
    for (const live of this.#live) live._end(code === 1000 ? undefined : this.#closedError());
  }

  #closedError() {
    const { code, reason } = this.lastClose ?? { code: 1000 };
    const message = this.refusal?.message || reason || `the connection is closed (${code})`;
    return new TablecastError(message, "CLOSED", { closeCode: code, reason: this.refusal?.reason });
  }

  #setState(state) {
    if (state !== "waiting") this.retryAt = undefined;
    this.state = state;
    this._emit("state", state);
  }
}

/** Resolves when a condition holds, which may change with the events of each `[emitter, ...names]`. */
function until(holds, ...sources) {
  if (holds()) return undefined;
  return new Promise((resolve) => {
    const check = () => {
      if (!holds()) return;
      stops.forEach((stop) => stop());
      resolve();
    };
    const stops = sources.flatMap(([emitter, ...names]) => names.map((name) => emitter.on(name, check)));
  });
}
