// Subscriptions to channels, several at a time.

import { Emitter, epochOf, events, isNewer, mayPass, Retries, settleable, TablecastError } from "./tablecast-core.js";
import { encodeParams, stringify } from "./tablecast-values.js";

/**
 * The messages of one subscription. A transaction's messages are handed over together, once its last one is here: what was cut
 * off by a lost connection is replayed whole, and nothing is delivered twice.
 *
 * The server knows equal filters by one id: subscriptions of one client that ask for the same share it, and each takes from
 * what comes what it still needs.
 */
export class Subscription extends Emitter {
  /** The server's id, by which its messages are known; undefined while it is not live, and for channels that have one alone. */
  id = undefined;
  position = undefined;
  recovered = undefined;
  _request = undefined;
  /** The request whose snapshot is coming: it can still fail. */
  _answered = undefined;
  /** Requests that another one replaced before they were answered, and what they were answered with. */
  _stale = new Map();
  /** The filter of the last request: equal for equal ones. */
  _wire;
  /** The id at the server that `position` belongs to, also while the connection is lost, and its filter. */
  #origin;
  #client;
  #pending = [];
  /** Between the acknowledgement of a snapshot and its end. */
  #isInSnapshot = false;
  #asksForSnapshot = false;
  /** Version 1 sends no end of a snapshot: the tables that are still missing, if their names are known. */
  #missing;
  #started = false;
  #resumes = false;
  #ready = settleable(true);
  #ended = false;
  #error;
  #retries;

  constructor(client, channel, options) {
    super();
    this.#client = client;
    this.#retries = new Retries(client._options, () => client.state === "open" && this._start());
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
  [Symbol.asyncIterator]() {
    return events(this, "message", () => ({ error: this.#error, isEnded: this.#ended }));
  }

  _start() {
    this.#retries.stop();
    const { since: _, snapshot, params, signal: __, ...filters } = this.options;
    const data = { ...filters };
    if (params !== undefined) data.params = encodeParams(params);
    this._wire = stringify(data);
    this.#pending = [];
    this.#asksForSnapshot = false;
    this.#resumes = this.#started;
    this.#error = undefined;
    if (this.channel === "tables") {
      if (this.position !== undefined) {
        data.since = this.position;
        // The application may have changed the filter; if not, the server finds out whether the rights have changed.
        if (this.#origin?.wire === this._wire) data.resumes = this.#origin.id;
      }
      else if (snapshot) this.#asksForSnapshot = data.snapshot = true;
      if (this.id !== undefined && !this.#client._isShared(this)) data.replaces = this.id;
    }
    if (this._request !== undefined) this._stale.set(this._request, undefined);
    const equal = this.#asksForSnapshot && this.id === undefined && this.#client._equalSnapshot(this);
    if (equal) return void (this._request = equal._request); // one snapshot for both
    this._request = this.#client._newId(); // before sending: a fake socket may answer at once
    this.#client._send("subscribe", data, { id: this._request, channel: this.channel });
  }

  _receive(message) {
    const { type, data } = message;
    if (type === "table:snapshot") {
      if (!this.#isInSnapshot) return; // another subscription of the same filter asked for it
      this._emit("snapshot", data);
      this._emit("message", message);
      if (data.last && this.#missing?.delete(data.tableName) && this.#missing.size === 0) this.#endSnapshot(message.position);
      return;
    }
    if (type === "snapshot:end") {
      if (!this.#isInSnapshot) return;
      this.#isInSnapshot = false;
      this._answered = undefined;
      this.position = data.position ?? message.position;
      this._emit("complete", data);
      return this._emit("message", message);
    }
    if (!data?.transaction) return this._emit("message", message);
    if (this.#isInSnapshot) this.#endSnapshot(this.#snapshotPosition); // version 1: no change comes before the last row
    this.#pending.push(message);
    if (!data.transaction.last) return;
    const messages = this.#pending;
    this.#pending = [];
    const position = data.transaction.position ?? message.position;
    if (!isNewer(position, this.position)) return; // replayed for another one
    this.position = position;
    this._emit("transaction", messages);
    for (const each of messages) this._emit("message", each);
  }

  #snapshotPosition;

  #endSnapshot(position) {
    this.#isInSnapshot = false;
    this.position = position;
    this._emit("complete", { tables: this.options.tables ?? [], unreadable: [], position });
  }

  /** The answer to this one's own request. */
  _acknowledged({ data }) {
    this._answered = data.tables === undefined ? undefined : this._request;
    this._request = undefined;
    this.#retries.succeeded();
    this.id = data.subscription;
    if (this.id !== undefined) this.#origin = { id: this.id, wire: this._wire };
    this.recovered = data.recovered;
    this.#pending = [];
    const isOld = this.channel === "tables" && data.subscription === undefined;
    this.#isInSnapshot = data.tables !== undefined || (isOld && this.#asksForSnapshot);
    this.#snapshotPosition = data.position;
    const names = this.options.tables ?? [];
    const isExact = names.length > 0 && names.every((name) => !/[*?]|\[[^\]]{2,}\]/.test(name));
    this.#missing = isOld && isExact ? new Set(names.map((name) => name.replace(/\[(.)\]/g, "$1"))) : undefined;
    if (this.#isInSnapshot) this.position = undefined; // an incomplete snapshot has no position
    // After a restart the same transaction has another epoch.
    else if (data.recovered !== true || epochOf(data.position) !== epochOf(this.position)) this.position = data.position ?? this.position;
    const resumed = this.#resumes;
    this.#started = true;
    if (this.#isInSnapshot) this._emit("reset", undefined);
    this.#ready.resolve(data);
    this._emit("live", { position: data.position, recovered: data.recovered, resumed });
    if (data.recovered === false) this.#missed(data);
  }

  /** Without a reconnect: what is here and what comes do not join. */
  _lostContinuity(data) {
    this.recovered = data.recovered;
    this.#pending = [];
    this.#isInSnapshot = false;
    this.position = data.position ?? this.position;
    this._emit("live", { position: data.position, recovered: data.recovered, resumed: true });
    if (data.recovered === false) this.#missed(data);
  }

  #missed({ position, reason }) {
    this._emit("gap", { position, reason });
    if (this.options.snapshot) this.update(this.options);
  }

  /** The server ended a snapshot because an equal subscription of this connection began: takes that one's. Says whether it does. */
  _interrupted() {
    const other = this.#client._equalSnapshot(this);
    if (!other) return false;
    this._answered = undefined;
    this.#isInSnapshot = false;
    this._request = other._request;
    return true;
  }

  /** Whether nothing is on its way that would bring it up to date. */
  get _isSettled() {
    return this.#ended || (this._request === undefined && !this.#isInSnapshot && !this.#retries.areWaiting);
  }

  /** Whether the request that waits for its answer asks for rows. */
  get _awaitsSnapshot() {
    return this._request !== undefined && this.#asksForSnapshot;
  }

  /** Another subscription of the same filter began, and the server restarted what both stand on. */
  _restarted({ data }) {
    this.#pending = [];
    if (!this.#isInSnapshot) {
      // It began behind what is here: what is between would be missing.
      if (this.position !== undefined && isNewer(data.position, this.position) && data.tables === undefined && data.recovered !== undefined) this._start();
    } else if (data.tables !== undefined) {
      this._answered = undefined; // its own snapshot ends with an error, that of the other one comes
      this._emit("reset", undefined);
    } else {
      this._start();
    }
  }

  _lost() {
    this.#retries.stop();
    this.id = undefined;
    this._request = undefined;
    this._answered = undefined;
    this._stale.clear();
    this.#pending = [];
    this.#isInSnapshot = false;
  }

  _fail(error) {
    this.id = undefined;
    this._request = undefined;
    this._answered = undefined;
    this.#isInSnapshot = false;
    if (mayPass(error, this.#started)) {
      Object.assign(error, { willRetry: true });
      this.#retries.later(error);
      return this._emit("error", error);
    }
    this.#error = error;
    this.#ready.reject(error);
    this._emit("error", error);
  }

  _end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#retries.stop();
    this.#error = error;
    this.#ready.reject(error ?? new TablecastError("the subscription was closed", "CLOSED"));
    this._emit("end", error);
  }
}
