// Declarations of /tablecast.js, the client of Tablecast's wire protocol (version 2). A test holds `Messages` against the contract,
// /asyncapi.yaml.

/** A SQLite value as a JavaScript value. Integers beyond ±(2^53−1) are bigint, BLOBs are bytes. */
export type Value = null | number | bigint | string | Uint8Array | InvalidText;

/** A parameter. A boolean becomes 0 or 1, NaN becomes NULL (as in SQLite itself). */
export type Parameter = Value | Real | boolean | undefined | ArrayBuffer | ArrayBufferView;

export type Row = Record<string, Value>;
export type Channel = "queries" | "tables" | "notifications" | "collaboration";
export type State = "connecting" | "open" | "waiting" | "closed";

/** `"<epoch>:<seq>"`: a committed transaction of the watched file. */
export type Position = string;

export interface ConnectOptions {
  /** The name that other users see. */
  username?: string;
  /**
   * The token, sent as the URL parameter `access_token`. A function is called for every connection, and before the token expires, to
   * renew it in place; it may be asynchronous.
   */
  accessToken?: string | (() => string | Promise<string>);
  /** The constructor to use without a global `WebSocket` (Node 20). */
  WebSocket?: new (url: string, protocols?: string[]) => unknown;
  /** Used to find out why a handshake failed. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** First delay before a reconnect, in milliseconds; it doubles with every failure. Default 500. */
  minRetryDelay?: number;
  /** Longest delay before a reconnect, in milliseconds. Default 20 000. */
  maxRetryDelay?: number;
  /** Milliseconds until a connection must be acknowledged; after that the client reconnects. Default 10 000. */
  connectTimeout?: number;
  /** Milliseconds between heartbeats; at most the server's own interval. Default 10 000. */
  heartbeatInterval?: number;
}

/**
 * Connects, and reconnects until `close()`: with exponential backoff and jitter, immediately after 4408 and 4413, never after a
 * refusal by a close code (1002, 1003, 1007, 1009, 4400, 4401, 4403) or by the status of the handshake. With a function for the token, an
 * established connection that is closed with 4401 reconnects once, with a new token.
 */
export function connect(url: string | URL, options?: ConnectOptions): Client;

/** Why a server refused a connection. The client does not reconnect: change the URL, the token or the server. */
export type RefusalReason = "unauthorized" | "forbidden" | "origin" | "not-found" | "bad-request" | "protocol" | "too-big";

export interface Refusal {
  reason: RefusalReason;
  message: string;
}

export interface Envelope<Type extends string = string, Data = unknown> {
  id: string;
  /** Unix milliseconds. */
  timestamp: number;
  type: Type;
  channel: Channel;
  data: Data;
  position?: Position;
  replyTo?: string;
}

/** The messages of the server by type; application messages have other types. */
export interface Messages {
  "connection:ack": { clientId: string; connectedAt: number; serverInfo: { version: string; capabilities: string[] }; heartbeatInterval: number; database?: string; position?: Position; expiresAt?: number; relays?: string[] };
  subscribed: Subscribed;
  unsubscribed: { channel: Channel; subscription?: string };
  heartbeat: { timestamp: number };
  error: { message: string; code: string; details?: unknown };
  "table:created": TableEvent & { objectType: ObjectType; sql?: string; columns: Column[] };
  "table:modified": TableChange;
  "table:dropped": TableEvent & { objectType: ObjectType };
  "table:snapshot": SnapshotPart;
  "snapshot:end": SnapshotEnd;
  "transaction:end": { position: Position };
  "query:started": { queryId: string; sql: string; userId: string; username?: string; database?: string; readOnly?: boolean };
  "query:progress": QueryProgress;
  "query:rows": { queryId: string } & Batch;
  "query:complete": QueryResult;
  "query:error": { queryId: string; error: string; code: string; sqliteCode?: number; sqlOffset?: number; statementIndex?: number; retryAfter?: number; position?: Position; inTransaction?: boolean };
  "query:cancelled": { queryId: string; reason: CancelReason; rowCount: number; duration: number; position?: Position; inTransaction?: boolean };
  "query:subscribed": LiveSubscribed;
  "query:snapshot": { subscription: string; rows: Row[]; last: boolean; reset?: true; columns?: string[] };
  "query:changed": { subscription: string; rows: LiveRowChange[]; transactions?: number; last: boolean };
  "query:reached": Record<never, never>;
  "query:unsubscribed": { subscription: string; reason?: string; code?: string };
  "row:written": RowWritten;
  "token:renewed": { expiresAt?: number };
  "database:gone": { message: string };
  "database:back": { message: string };
  "database:epoch": { reason: EpochReason; message: string };
  "database:notice": { message: string };
  "user:joined": { userId: string; username: string; connectedUsers: number };
  "user:left": { userId: string; username: string; connectedUsers: number };
  "user:list": { users: (Person & { cursor?: Cursor })[] };
  "user:cursor": { userId: string; username: string } & Cursor;
}

/** Discriminated by `type`. */
export type Message = { [Type in keyof Messages]: Envelope<Type, Messages[Type]> }[keyof Messages];
export type TableMessage = Extract<Message, { type: `table:${string}` | "snapshot:end" }>;

export type ObjectType = "table" | "view" | "virtual";
export type CancelReason = "client" | "timeout" | "disconnect" | "shutdown";

export interface Subscribed {
  channel: Channel;
  subscription?: string;
  /** Instead of `subscription`, where the request had a list. */
  subscriptions?: string[];
  position?: Position;
  recovered?: boolean;
  /** Where `recovered` is false. */
  reason?: ResumeFailure;
  /** The tables of a snapshot that follows. */
  tables?: string[];
}

/** Why a client does not continue after the position that it has. */
export type ResumeFailure = "other-epoch" | "beyond-end" | "not-kept" | "other-subscription" | "new-epoch";

export interface LiveSubscribed {
  subscription: string;
  columns: string[];
  /** The columns that identify a row. */
  key?: string[];
  plan: "incremental" | "rerun";
  /** Why the plan is `rerun`. */
  reason?: string;
  tables: string[];
  ordered: boolean;
  position: Position;
  recovered?: boolean;
}

/** One row of a result that changed. In an ordered result `oldIndex` counts before all changes, `index` after them. */
export interface LiveRowChange<Result = Row> {
  op: "insert" | "update" | "delete";
  key?: Row;
  before?: Result;
  after?: Result;
  oldIndex?: number;
  index?: number;
}

/** Why continuity was broken. */
export type EpochReason = "replaced" | "removed" | "overwritten" | "log-lost" | "log-recovered" | "journal-mode" | "undecodable" | "state-lost" | "restarted" | "io-error";

export interface Column {
  name: string;
  type: string;
  notNull: boolean;
  /** The SQL of the default. */
  default?: string;
  /** Its place in the primary key, from 1; 0 if it is not part of it. */
  primaryKey: number;
  generated?: "virtual" | "stored";
}

export interface SnapshotPart {
  subscription: string;
  tableName: string;
  columns: string[];
  /** The columns that identify a row; absent where `rowids` do. */
  key?: string[];
  rows: (Row | Value[])[];
  /** Present if no NOT NULL key identifies the rows. */
  rowids?: (number | bigint)[];
  last: boolean;
}

export interface SnapshotEnd {
  subscription: string;
  tables: string[];
  /** Tables that this server cannot read. */
  unreadable: { table: string; error: string }[];
  position: Position;
}

export interface ClientEvents {
  /** The state changed; read `client.state`, `retryAt`, `lastClose`. */
  state: State;
  /** Round trip of the last heartbeat in milliseconds. */
  latency: number;
  /** Every message, with decoded values. */
  message: Message | Envelope;
  /** An `error` that belongs to no pending request of this client. */
  error: TablecastError;
}

export interface Client {
  readonly state: State;
  /** Failed attempts since the last stable connection. */
  readonly attempt: number;
  /** The time of the next attempt, in Unix milliseconds; only while `waiting`. */
  readonly retryAt?: number;
  readonly lastClose?: { code: number; reason: string };
  /** Why the server refused the connection, if it did. */
  readonly refusal?: Refusal;
  readonly clientId?: string;
  readonly userId?: string;
  readonly username?: string;
  readonly server?: { version: string; capabilities: string[] };
  readonly database?: string;
  /** The newest position received. */
  readonly position?: Position;
  /** When the token expires, in Unix milliseconds of the server's clock. */
  readonly expiresAt?: number;
  readonly latency?: number;
  /** Resolves when connected; rejects when permanently closed. */
  readonly ready: Promise<Client>;
  readonly presence: Presence;

  /** Adds a listener; returns the function that removes it. */
  on<Event extends keyof ClientEvents>(event: Event, listener: (detail: ClientEvents[Event]) => void): () => void;
  /** Adds a subscription; existing ones continue. */
  subscribe(channel: "tables", options?: TableFilters): Subscription<TableMessage>;
  subscribe(channel: Channel): Subscription;
  query<Result = Row>(sql: string, options?: QueryOptions): Query<Result>;
  /** A live query: the rows of a SELECT, kept current for commits of all processes. */
  live<Result = Row>(sql: string, params?: Parameters, options?: LiveOptions): LiveQuery<Result>;
  /** The rows of a table, or those that match `where`, kept current and writable. */
  table<Result extends object = Row>(name: string, options?: TableOptions): LiveTable<Result>;
  /** Writes one row by its key; rejects with `CONFLICT`, and the current row in `error.row`, if the row differs from `before`. */
  writeRow(write: RowWrite): Promise<RowWritten>;
  /**
   * Resolves when the live queries, tables and subscriptions of this client have received everything up to a position, also over a lost
   * connection. Rejects when the connection is permanently closed.
   */
  seen(position: Position | undefined): Promise<void>;
  /** Cancels a query of this connection by its id. */
  cancel(queryId: string): void;
  identify(username: string): void;
  /**
   * Continues with another token of the same user, now and after every reconnect: subscriptions and queries go on. Rejects if the server
   * refuses it, and the connection stays with the previous one.
   */
  renew(accessToken: string): Promise<{ expiresAt?: number }>;
  /** Tries to reconnect now instead of at the end of the backoff. */
  retry(): void;
  close(): void;
}

export interface TableFilters {
  /** Names or globs; all when absent. */
  tables?: string[];
  operations?: ("insert" | "update" | "delete" | "schema")[];
  /** How much of each changed row is sent. Default `none`: counts only. */
  rows?: "none" | "keys" | "values";
  /** First replays everything after this position, if the server still has it. */
  since?: Position;
  /** An SQL expression over one table's columns: rows that start or stop to match are `filter: "entered"` and `"left"`. */
  where?: string;
  /** Parameters of `where`. */
  params?: Parameters;
  /** First sends the tables' rows as of one position, and again when continuity is lost. */
  snapshot?: boolean;
}

export interface RowChange {
  op: "insert" | "update" | "delete";
  key: Row;
  rowid?: number | bigint;
  before?: Row;
  after?: Row;
  /** With `where`: an update that made the row match (an `insert`), or no longer match (a `delete`). */
  filter?: "entered" | "left";
}

export interface TableEvent {
  tableName: string;
  timestamp: number;
  /** The id of the subscription. */
  subscription: string;
  /** Who committed. This and the next two are absent if the server has no database. */
  origin?: "service" | "external";
  transaction?: { position: Position; last: boolean };
  database?: string;
  userId?: string;
  username?: string;
  queryId?: string;
}

/** Tell one from the other by `change`. */
export type TableChange = RowsChange | SchemaChange;

export interface RowsChange extends TableEvent {
  change: "rows";
  inserted: number;
  updated: number;
  deleted: number;
  rows?: RowChange[];
  /** The transaction was too large to list its rows: they are omitted, the counts are exact. */
  rowsOmitted?: boolean;
  /** Generated columns that could not be computed, or not in time; `before` and `after` do not contain them. */
  columnsOmitted?: string[];
}

export interface SchemaChange extends TableEvent {
  change: "schema";
  sql?: string;
  /** Before it was renamed. */
  previousName?: string;
  columns: Column[];
  /** For each column its index before, null for a new one; absent where all are as they were. */
  columnSources?: (number | null)[];
  objects: ObjectChange[];
}

export interface ObjectChange {
  action: "added" | "removed" | "changed";
  kind: "index" | "trigger";
  name: string;
  sql?: string;
}

export interface SubscriptionEvents<M = Message> {
  /** Each message; those of one transaction are contiguous and are delivered when it is complete. */
  message: M;
  /** All messages of one transaction. */
  transaction: M[];
  /** A snapshot begins: discard the rows that you have. */
  reset: undefined;
  /** A part of a table's rows. */
  snapshot: SnapshotPart;
  /** The snapshot is complete. */
  complete: SnapshotEnd;
  /** Live, for the first time or again (`resumed`); `recovered`: whether all missed changes were replayed. */
  live: { position?: Position; recovered?: boolean; resumed: boolean };
  /** Changes were missed and cannot be replayed; with `snapshot` a new snapshot follows. */
  gap: { position?: Position; reason?: ResumeFailure };
  error: TablecastError;
  end: TablecastError | undefined;
}

/** Iterates over its messages until `close()`; throws when the server refuses it, or permanently closes the connection. */
export interface Subscription<M = Message> extends AsyncIterable<M> {
  /** Its id on the server, while it is live. */
  readonly id?: string;
  readonly channel: Channel;
  /** Everything up to here was delivered. */
  readonly position?: Position;
  /** Whether the last resume missed nothing; undefined before the first resume. */
  readonly recovered?: boolean;
  readonly ready: Promise<Subscribed>;
  on<Event extends keyof SubscriptionEvents<M>>(event: Event, listener: (detail: SubscriptionEvents<M>[Event]) => void): () => void;
  /** Changes the filters without a gap. */
  update(options: TableFilters): void;
  close(): void;
}

/** An array for `?`, an object for `:name`. */
export type Parameters = readonly Parameter[] | Record<string, Parameter>;

export interface QueryOptions {
  params?: Parameters;
  /** Cancels the query; `result` and iteration then reject with the signal's reason, and unread rows are dropped. */
  signal?: AbortSignal;
  queryId?: string;
  /** `objects` gives repeated column names a number: `n`, `n:1`, `n:2`; `arrays` keeps the names. */
  rowFormat?: "objects" | "arrays";
  maxRows?: number;
  /** Milliseconds. */
  timeout?: number;
  /** Milliseconds between progress messages. */
  progressInterval?: number;
  /** Runs several statements as one transaction. Default true. */
  atomic?: boolean;
}

export interface QueryProgress {
  queryId: string;
  /** An estimate, 0 to 100; absent if none is possible. */
  progress?: number;
  message: string;
  rowCount: number;
  /** Milliseconds. */
  elapsed: number;
  estimatedTotal?: number;
}

export interface QueryResult {
  queryId: string;
  rowCount: number;
  /** Milliseconds. */
  duration: number;
  changes: number;
  lastInsertRowid?: number | bigint;
  truncated?: boolean;
  /** The position of the transaction that the query committed. */
  position?: Position;
  inTransaction?: boolean;
}

export interface Batch {
  statementIndex: number;
  columns: string[];
  rows: Value[][];
  /** Index of the first row within its statement. */
  offset: number;
}

export interface QueryEvents {
  started: { queryId: string; sql: string; userId: string; username?: string; database: string; readOnly: boolean };
  progress: QueryProgress;
}

/**
 * A running query: `await` it for all rows, iterate over it for rows as they arrive, or call `run()` for the summary only. The failure of
 * a query that no code awaits is an unhandled rejection. The browser's WebSocket has no backpressure: rows that arrive faster than they are consumed stay
 * in memory, so set `maxRows` or a LIMIT if the result can be huge. Leaving a loop early cancels the query on the server.
 */
export interface Query<Result = Row> extends AsyncIterable<Result>, PromiseLike<Result[]> {
  readonly id: string;
  readonly sql: string;
  readonly progress?: QueryProgress;
  readonly result: Promise<QueryResult>;
  /** Every row; the same as `await query`. */
  all(): Promise<Result[]>;
  /** The first row; the rest is not read. */
  first(): Promise<Result | undefined>;
  /** The summary; rows are dropped. */
  run(): Promise<QueryResult>;
  on<Event extends keyof QueryEvents>(event: Event, listener: (detail: QueryEvents[Event]) => void): () => void;
  batches(): AsyncIterable<Batch>;
  cancel(): void;
}

export interface LiveOptions {
  /** Closes the live query. */
  signal?: AbortSignal;
  /** Columns that identify a row of the result, if the server cannot derive them. */
  key?: string[];
}

export interface LiveChange<Result = Row> {
  /** The changes; empty after a `reset`. In a result without order and key, a removed and an added row with equal columns are an `update`. `before` is the object that `rows` had, `after` the one that it has. */
  rows: LiveRowChange<Result>[];
  /** The rows were sent again: at the start, after a gap, or because the columns changed. */
  reset: boolean;
  /** The number of merged commits. */
  transactions: number;
  position?: Position;
}

export interface LiveQueryEvents<Result = Row> {
  change: LiveChange<Result>;
  /** Live, for the first time or again. */
  live: { position: Position; recovered?: boolean; plan: "incremental" | "rerun" };
  /** The rows are exact as of this position. */
  reached: Position;
  error: TablecastError;
  end: TablecastError | undefined;
}

/** Iterates over its rows: the current ones, then again after each change. A slow reader receives only the newest. */
export interface LiveQuery<Result = Row> extends AsyncIterable<readonly Result[]> {
  readonly sql: string;
  /** Whether nothing follows any more: it was closed, refused, or ended by the server. */
  readonly isEnded: boolean;
  /** A new array after every change, never altered; rows that stay the same stay the same objects. */
  readonly rows: readonly Result[];
  readonly isLive: boolean;
  readonly columns: string[];
  readonly plan?: "incremental" | "rerun";
  /** Why the plan is `rerun`. */
  readonly reason?: string;
  /** The columns that identify a row, where some do. */
  readonly key?: string[];
  readonly tables: string[];
  readonly ordered: boolean;
  readonly position?: Position;
  readonly error?: TablecastError;
  /**
   * Resolves with the first rows; rejects if the query cannot be live (`NOT_LIVE` with the reason). After an error with `willRetry` it
   * is still pending.
   */
  readonly ready: Promise<readonly Result[]>;
  on<Event extends keyof LiveQueryEvents<Result>>(event: Event, listener: (detail: LiveQueryEvents<Result>[Event]) => void): () => void;
  /** For `useSyncExternalStore`. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

export interface TableOptions {
  /** An SQL expression over the table's columns. */
  where?: string;
  params?: Parameters;
  /** Closes the live table. */
  signal?: AbortSignal;
}

/**
 * A live table. Own writes appear in `rows` immediately, and are reverted if the server refuses them. While the table does not exist,
 * `error` has the code `NO_SUCH_TABLE` and `rows` is empty.
 */
export interface LiveTable<Result extends object = Row> extends AsyncIterable<readonly Result[]> {
  readonly name: string;
  /** A new array after every change, never altered; rows that stay the same stay the same objects. */
  readonly rows: readonly Result[];
  readonly isLive: boolean;
  readonly columns: string[];
  readonly position?: Position;
  readonly error?: TablecastError;
  readonly ready: Promise<readonly Result[]>;
  on(event: "change", listener: () => void): () => void;
  on(event: "error" | "end", listener: (error: TablecastError | undefined) => void): () => void;
  /** For `useSyncExternalStore`. */
  subscribe(listener: () => void): () => void;
  /** Resolves with the row as stored by the server. */
  insert(values: Partial<Result>): Promise<Result | undefined>;
  /** `row` is one of `rows`. Rejects with `CONFLICT` if the columns to write have changed since. */
  update(row: Result, values: Partial<Result>): Promise<Result | undefined>;
  /** `row` is one of `rows`. Rejects with `CONFLICT` if the row has changed since. */
  delete(row: Result): Promise<undefined>;
  close(): void;
}

export interface RowWrite {
  table: string;
  op: "insert" | "update" | "delete";
  /** The columns of the primary key, or `rowid` for a table without one. */
  key?: Record<string, Parameter>;
  rowid?: number | bigint;
  /** The expected values. */
  before?: Record<string, Parameter>;
  values?: Record<string, Parameter>;
  queryId?: string;
  /** Milliseconds. */
  timeout?: number;
}

export interface RowWritten {
  queryId: string;
  tableName: string;
  op: "insert" | "update" | "delete";
  /**
   * The resulting row, including triggers, defaults and generated columns; null if it was deleted, or if the token's row rules permit
   * writing it and not reading it.
   */
  row: Row | null;
  rowid?: number | bigint;
  /** 0 if a trigger ignored the write without an error. */
  changes: number;
  /** Milliseconds. */
  duration: number;
  position?: Position;
  inTransaction?: boolean;
}

export interface Cursor {
  /** In a text; line and column start at 0. */
  position?: { line: number; column: number };
  selection?: { start: { line: number; column: number }; end: { line: number; column: number } };
  /** The whole text of this user, for other users to see: at most 16 KiB of UTF-8. */
  text?: string;
  /** Or the `userId` of the user whose text has the position. */
  textOf?: string;
  /** Or in a cell of a table. */
  table?: string;
  row?: Value;
  column?: string;
}

export interface Person {
  userId: string;
  username: string;
  /** Unix milliseconds. */
  joinedAt: number;
  cursor?: Cursor;
  /** The last known text of this user; undefined if it is not shared. */
  text?: string;
}

export interface Presence {
  readonly people: ReadonlyMap<string, Person>;
  on(event: "change", listener: (people: ReadonlyMap<string, Person>) => void): () => void;
  /** Sends at most 20 positions per second; the latest wins. */
  moveCursor(cursor: Cursor): void;
}

/** `code` is the code of the server (`SQL_ERROR`, `BUSY`, …) or `CANCELLED`, `DISCONNECTED`, `CLOSED`, `ALREADY_READ`, `NO_SUCH_TABLE`, `UNREADABLE`. */
export class TablecastError extends Error {
  constructor(message: string, code: string, details?: object);
  readonly code: string;
  readonly details?: unknown;
  readonly sqliteCode?: number;
  /** The place in the SQL, as an offset in bytes of UTF-8. */
  readonly sqlOffset?: number;
  /** With `RATE_LIMITED`: when to try again, in milliseconds. */
  readonly retryAfter?: number;
  /**
   * The subscription, live query or table has not ended: the client requests it again, with the delays of a reconnect. The database is
   * away or locked, the server stops, or a limit is reached that it was within before.
   */
  readonly willRetry?: true;
  /** The last transaction that the query committed before it failed or was cancelled. */
  readonly position?: Position;
  /** Whether the transaction of the query is still open; false if it was rolled back. */
  readonly inTransaction?: boolean;
  /** For `CANCELLED`, or for `CLOSED` after a refusal. */
  readonly reason?: CancelReason | RefusalReason;
  /** For `CONFLICT`: the current row; null if it was deleted. */
  readonly row?: Row | null;
  readonly closeCode?: number;
}

/** A parameter that is stored as REAL even if it is a whole number, because JavaScript writes 3.0 as 3. */
export class Real {
  constructor(value: number | string);
  readonly value: number;
}

/** TEXT whose bytes are not UTF-8. */
export class InvalidText {
  constructor(bytes: Uint8Array);
  readonly bytes: Uint8Array;
  toString(): string;
}

export function decodeValue(value: unknown): Value;
export function encodeValue(value: Parameter): unknown;
