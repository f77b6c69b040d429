// Declarations of /tablecast.js, the client of Tablecast's wire protocol (version 2). A test holds `Messages` against the contract,
// /asyncapi.yaml.

/** What SQLite stores, as JavaScript's own types. Integers beyond ±(2^53−1) are bigint, BLOBs are bytes. */
export type Value = null | number | bigint | string | Uint8Array | InvalidText;

/** What a parameter may be. A boolean becomes 0 or 1, NaN becomes NULL (as in SQLite itself). */
export type Parameter = Value | Real | boolean | undefined | ArrayBuffer | ArrayBufferView;

export type Row = Record<string, Value>;
export type Channel = "queries" | "tables" | "notifications" | "collaboration";
export type State = "connecting" | "open" | "waiting" | "closed";

/** `"<epoch>:<seq>"`: a committed transaction of the watched file. */
export type Position = string;

export interface ConnectOptions {
  /** The name that others see. */
  username?: string;
  /** Sent as the query item `access_token`. */
  accessToken?: string;
  /** The constructor to use where there is no global `WebSocket` (Node 20). */
  WebSocket?: new (url: string, protocols?: string[]) => unknown;
  /** Asks why a handshake failed. Default the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** First delay before a reconnect, in milliseconds; it doubles with every failure. Default 500. */
  minRetryDelay?: number;
  /** Longest delay before a reconnect, in milliseconds. Default 20 000. */
  maxRetryDelay?: number;
  /** Milliseconds until a connection must be acknowledged; then it counts as lost, and is tried again. Default 10 000. */
  connectTimeout?: number;
  /** Milliseconds between heartbeats; at most the server's own interval. Default 10 000. */
  heartbeatInterval?: number;
}

/**
 * Connects, and reconnects until `close()`: with exponential backoff and jitter, at once after 4408 and 4413, never after a
 * refusal, be it by a close code (1002, 1003, 1007, 1009, 4400, 4401, 4403) or by the status of the handshake.
 */
export function connect(url: string | URL, options?: ConnectOptions): Client;

/** Why a server will not have a connection. No reconnect follows: a new one needs another address, token or server. */
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

/** Every message of the server by its type; an application's own have any other. */
export interface Messages {
  "connection:ack": { clientId: string; connectedAt: number; serverInfo: { version: string; capabilities: string[] }; heartbeatInterval: number; database?: string; position?: Position };
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
  "query:error": { queryId: string; error: string; code: string; sqliteCode?: number; sqlOffset?: number; statementIndex?: number; inTransaction?: boolean };
  "query:cancelled": { queryId: string; reason: CancelReason; rowCount: number; duration: number; inTransaction?: boolean };
  "query:subscribed": LiveSubscribed;
  "query:snapshot": { subscription: string; rows: Row[]; last: boolean; reset?: true; columns?: string[] };
  "query:changed": { subscription: string; rows: LiveRowChange[]; transactions?: number; last: boolean };
  "query:reached": Record<never, never>;
  "query:unsubscribed": { subscription: string; reason?: string; code?: string };
  "row:written": RowWritten;
  "database:gone": { message: string };
  "database:back": { message: string };
  "database:epoch": { reason: EpochReason; message: string };
  "database:notice": { message: string };
  "user:joined": { userId: string; username: string; connectedUsers: number };
  "user:left": { userId: string; username: string; connectedUsers: number };
  "user:list": { users: (Person & { cursor?: Cursor })[] };
  "user:cursor": { userId: string; username: string } & Cursor;
}

/** Tell one from the others by its `type`. */
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
  /** The tables of a snapshot that follows. */
  tables?: string[];
}

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
export type EpochReason = "replaced" | "removed" | "overwritten" | "log-lost" | "log-recovered" | "journal-mode" | "undecodable" | "state-lost" | "io-error";

export interface Column {
  name: string;
  type: string;
  notNull?: boolean;
  /** The SQL of the default. */
  default?: string;
  /** Its place in the primary key from 1; 0 outside. */
  primaryKey?: number;
  hidden?: boolean;
  generated?: "virtual" | "stored";
}

export interface SnapshotPart {
  subscription: string;
  tableName: string;
  columns: string[];
  /** The columns that identify a row; absent where `rowids` do. */
  key?: string[];
  rows: (Row | Value[])[];
  /** Where no NOT NULL key tells the rows apart. */
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
  /** Every message, after its values were decoded. */
  message: Message | Envelope;
  /** An `error` that answers none of this client's pending requests. */
  error: TablecastError;
}

export interface Client {
  readonly state: State;
  /** Failed attempts since the last stable connection. */
  readonly attempt: number;
  /** When the next attempt is due, in Unix milliseconds; only while `waiting`. */
  readonly retryAt?: number;
  readonly lastClose?: { code: number; reason: string };
  /** Why it was closed for good, where the server refused it. */
  readonly refusal?: Refusal;
  readonly clientId?: string;
  readonly userId?: string;
  readonly username?: string;
  readonly server?: { version: string; capabilities: string[] };
  readonly database?: string;
  /** Newest position heard of. */
  readonly position?: Position;
  readonly latency?: number;
  /** Resolves once connected; rejects when closed for good. */
  readonly ready: Promise<Client>;
  readonly presence: Presence;

  /** Listens; returns the function that stops it. */
  on<Event extends keyof ClientEvents>(event: Event, listener: (detail: ClientEvents[Event]) => void): () => void;
  /** Adds a subscription; those there are go on. */
  subscribe(channel: "tables", options?: TableFilters): Subscription<TableMessage>;
  subscribe(channel: Channel): Subscription;
  query<Result = Row>(sql: string, options?: QueryOptions): Query<Result>;
  /** A SELECT whose rows stay current, whichever process commits. */
  live<Result = Row>(sql: string, params?: Parameters, options?: LiveOptions): LiveQuery<Result>;
  /** A table's rows, or those that `where` lets through, which stay current and can be written. */
  table<Result extends object = Row>(name: string, options?: TableOptions): LiveTable<Result>;
  /** Writes one row by its key; rejects with `CONFLICT`, and the row as it is in `error.row`, where it is no longer what `before` says. */
  writeRow(write: RowWrite): Promise<RowWritten>;
  /** Resolves when everything up to a position has arrived that this client is subscribed to. */
  seen(position: Position | undefined): Promise<void>;
  /** Asks the server to stop a query of this connection by its id. */
  cancel(queryId: string): void;
  identify(username: string): void;
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
  /** Replays everything after this position first, if the server still has it. */
  since?: Position;
  /** An SQL expression over one table's columns: rows that begin or cease to match are `filter: "entered"` and `"left"`. */
  where?: string;
  /** Of `where`. */
  params?: Parameters;
  /** Sends the tables' rows as of one position first, and again whenever continuity was lost. */
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
  /** The subscription that it is for. */
  subscription: string;
  /** Who committed. This and the next two are absent where there is no database behind the server. */
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
  inserted?: number;
  updated?: number;
  deleted?: number;
  rows?: RowChange[];
  /** The transaction was too large for single rows: the counts are right, the rows are left out. */
  rowsOmitted?: boolean;
  /** Generated columns that could not be computed, or not in time: `before` and `after` lack them. */
  columnsOmitted?: string[];
}

export interface SchemaChange extends TableEvent {
  change: "schema";
  objectType?: ObjectType;
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
  /** Each message; those of one transaction directly after one another, and only once it is complete. */
  message: M;
  /** All messages of one transaction. */
  transaction: M[];
  /** A snapshot begins: forget the rows you have. */
  reset: undefined;
  /** A part of a table's rows. */
  snapshot: SnapshotPart;
  /** The snapshot is complete. */
  complete: SnapshotEnd;
  /** Live, for the first time or again (`resumed`); `recovered` says whether everything in between was replayed. */
  live: { position?: Position; recovered?: boolean; resumed: boolean };
  /** Changes were missed and can't be replayed; a snapshot, if asked for, follows by itself. */
  gap: { position?: Position };
  error: TablecastError;
  end: TablecastError | undefined;
}

/** Iterates over its messages until `close()`; throws when the server refuses it, or closes the connection for good. */
export interface Subscription<M = Message> extends AsyncIterable<M> {
  /** The server's name for it, while it is live. */
  readonly id?: string;
  readonly channel: Channel;
  /** Everything up to here was delivered. */
  readonly position?: Position;
  /** Whether the last resume missed nothing; undefined when nothing was resumed. */
  readonly recovered?: boolean;
  readonly ready: Promise<Subscribed>;
  on<Event extends keyof SubscriptionEvents<M>>(event: Event, listener: (detail: SubscriptionEvents<M>[Event]) => void): () => void;
  /** Changes the filters without a gap. */
  update(options: TableFilters): void;
  close(): void;
}

/** For `?` by place as an array, for `:name` as an object. */
export type Parameters = readonly Parameter[] | Record<string, Parameter>;

export interface QueryOptions {
  params?: Parameters;
  /** Cancels the query; `result` and iteration then reject with the signal's reason, rows not yet read are dropped. */
  signal?: AbortSignal;
  queryId?: string;
  /** Of several columns with one name, objects name the first `n` and the next `n:1`, `n:2`; `arrays` leaves the names as they are. */
  rowFormat?: "objects" | "arrays";
  maxRows?: number;
  /** Milliseconds. */
  timeout?: number;
  /** Milliseconds between progress messages. */
  progressInterval?: number;
  /** A script of several statements is one transaction. Default true. */
  atomic?: boolean;
}

export interface QueryProgress {
  queryId: string;
  /** 0 to 100; absent when there is no honest estimate. */
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
  /** Position of the transaction it committed. */
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
 * A running query: `await` it for its rows, iterate it for rows as they come, `run()` for the figures alone. The failure of a query
 * that no code waits for is an unhandled rejection. The browser's WebSocket has no backpressure: rows that arrive faster than they are consumed wait in
 * memory, so give `maxRows` or a LIMIT where a result may be huge. Leaving a loop early cancels the query on the server.
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
  /** The figures; rows are dropped. */
  run(): Promise<QueryResult>;
  on<Event extends keyof QueryEvents>(event: Event, listener: (detail: QueryEvents[Event]) => void): () => void;
  batches(): AsyncIterable<Batch>;
  cancel(): void;
}

export interface LiveOptions {
  /** Closes it. */
  signal?: AbortSignal;
  /** Columns of the result that tell its rows apart, where the server does not know. */
  key?: string[];
}

export interface LiveChange<Result = Row> {
  /** What has changed; empty after a `reset`. In a result without order and key, what went and what came with columns in common is an `update`. `before` is the object that `rows` had, `after` the one that it has. */
  rows: LiveRowChange<Result>[];
  /** The rows were sent again: first, after a gap, or because the columns are others. */
  reset: boolean;
  /** How many commits this is the sum of. */
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

/** Iterates over its rows: those there are, then after each change. A slow reader gets the newest alone. */
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
  /** Resolves with the first rows; rejects where the query cannot be live (`NOT_LIVE` with the reason). */
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
  /** Closes it. */
  signal?: AbortSignal;
}

/**
 * A live table. Own writes show in `rows` at once, and are taken back where the server refuses them. Where there is no such table, or none
 * any more, `error` has the code `NO_SUCH_TABLE` and `rows` is empty until it is created.
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
  /** Resolves with the row as the server has it. */
  insert(values: Partial<Result>): Promise<Result | undefined>;
  /** `row` is one of `rows`. Rejects with `CONFLICT` where what is to be written is no longer what it shows. */
  update(row: Result, values: Partial<Result>): Promise<Result | undefined>;
  /** `row` is one of `rows`. Rejects with `CONFLICT` where it is no longer what it shows. */
  delete(row: Result): Promise<undefined>;
  close(): void;
}

export interface RowWrite {
  table: string;
  op: "insert" | "update" | "delete";
  /** The columns of the primary key, or `rowid` where there is none. */
  key?: Record<string, Parameter>;
  rowid?: number | bigint;
  /** What was seen. */
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
  /** As triggers, defaults and generated columns made it; null where it is gone. */
  row: Row | null;
  rowid?: number | bigint;
  /** 0 where a trigger refused the write without an error. */
  changes: number;
  /** Milliseconds. */
  duration: number;
  position?: Position;
  inTransaction?: boolean;
}

export interface Cursor {
  /** In a text, both from 0. */
  position?: { line: number; column: number };
  selection?: { start: { line: number; column: number }; end: { line: number; column: number } };
  /** The whole text of this user, for the others to read along: at most 16 KiB of UTF-8. */
  text?: string;
  /** Or the `userId` of the one in whose text the position is. */
  textOf?: string;
  /** Or on a table's cell. */
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
  /** What this user is writing, as last heard; undefined where it is not shared. */
  text?: string;
}

export interface Presence {
  readonly people: ReadonlyMap<string, Person>;
  on(event: "change", listener: (people: ReadonlyMap<string, Person>) => void): () => void;
  /** At most 20 a second go out; the latest wins. */
  moveCursor(cursor: Cursor): void;
}

/** `code` is the server's (`SQL_ERROR`, `BUSY`, …) or `CANCELLED`, `DISCONNECTED`, `CLOSED`, `ALREADY_READ`, `NO_SUCH_TABLE`, `UNREADABLE`. */
export class TablecastError extends Error {
  constructor(message: string, code: string, details?: object);
  readonly code: string;
  readonly details?: unknown;
  readonly sqliteCode?: number;
  /** Where in the SQL, in bytes of UTF-8. */
  readonly sqlOffset?: number;
  /** Whether the transaction that the query was part of is open still; false when it was rolled back with it. */
  readonly inTransaction?: boolean;
  /** Of `CANCELLED`, or of `CLOSED` after a refusal. */
  readonly reason?: CancelReason | RefusalReason;
  /** Of `CONFLICT`: the row as it is; null where it is gone. */
  readonly row?: Row | null;
  readonly closeCode?: number;
}

/** A parameter that arrives as REAL though it is whole: JavaScript has one kind of number, and writes 3.0 as 3. */
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
