// Declarations of /tablecast.js, the client of Tablecast's wire protocol (version 1).

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
 * close code that says the request itself was wrong (1002, 1003, 1007, 1009, 4400, 4401, 4403).
 */
export function connect(url: string | URL, options?: ConnectOptions): Client;

export interface Envelope<Type extends string = string, Data = any> {
  id: string;
  /** Unix milliseconds. */
  timestamp: number;
  type: Type;
  channel: Channel;
  data: Data;
  position?: Position;
  replyTo?: string;
}

export interface ClientEvents {
  /** The state changed; read `client.state`, `retryAt`, `lastClose`. */
  state: State;
  /** Round trip of the last heartbeat in milliseconds. */
  latency: number;
  /** Every message, after its values were decoded. */
  message: Envelope;
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
  /** One subscription a channel: a second call replaces the first without a gap. */
  subscribe(channel: "tables", options?: TableFilters): Subscription;
  subscribe(channel: Channel): Subscription;
  query<Result = Row>(sql: string, options?: QueryOptions): Query<Result>;
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
  /** Sends the tables' rows as of one position first, and again whenever continuity was lost. */
  snapshot?: boolean;
}

export interface RowChange {
  op: "insert" | "update" | "delete";
  key: Row;
  rowid?: number | bigint;
  before?: Row;
  after?: Row;
}

/** `data` of `snapshot:end`: every table of the snapshot has come. */
export interface SnapshotEnd {
  subscription: string;
  tables: string[];
  /** Those that the server can't read. */
  unreadable: { table: string; error: string }[];
  position: Position;
}

export interface TableChange {
  /** The server's id of the subscription. */
  subscription: string;
  tableName: string;
  timestamp: number;
  change: "rows" | "schema";
  origin: "service" | "external";
  transaction: { position: Position; last: boolean };
  database: string;
  userId?: string;
  username?: string;
  queryId?: string;
  inserted?: number;
  updated?: number;
  deleted?: number;
  rows?: RowChange[];
  /** The transaction was too large for single rows: the counts are right, the rows are left out. */
  rowsOmitted?: boolean;
  /** Generated columns that could not be computed, or not in time: the rows lack them. */
  columnsOmitted?: string[];
  previousName?: string;
  columns?: unknown[];
  objects?: unknown[];
}

export interface SubscriptionEvents {
  /** Each message; those of one transaction directly after one another, and only once it is complete. */
  message: Envelope;
  /** All messages of one transaction. */
  transaction: Envelope[];
  /** A snapshot begins: forget the rows you have. */
  reset: undefined;
  /** A part of a table's rows. */
  snapshot: { subscription: string; tableName: string; columns: unknown[]; rows: unknown[]; rowids?: (number | bigint)[]; last: boolean };
  /** Live, for the first time or again (`resumed`); `recovered` says whether everything in between was replayed. */
  live: { position?: Position; recovered?: boolean; resumed: boolean };
  /** Changes were missed and can't be replayed; a snapshot, if asked for, follows by itself. */
  gap: { position?: Position };
  error: TablecastError;
  end: TablecastError | undefined;
}

/** Iterates over its messages until `close()`; throws when the server refuses it, or closes the connection for good. */
export interface Subscription extends AsyncIterable<Envelope> {
  readonly channel: Channel;
  /** Everything up to here was delivered. */
  readonly position?: Position;
  /** Whether the last resume missed nothing; undefined when nothing was resumed. */
  readonly recovered?: boolean;
  readonly ready: Promise<{ channel: Channel; subscription?: string; position?: Position; recovered?: boolean; tables?: string[] }>;
  on<Event extends keyof SubscriptionEvents>(event: Event, listener: (detail: SubscriptionEvents[Event]) => void): () => void;
  /** Changes the filters without a gap. */
  update(options: TableFilters): void;
  close(): void;
}

export interface QueryOptions {
  /** For `?` by place as an array, for `:name` as an object. */
  params?: Parameter[] | Record<string, Parameter>;
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
 * A running query. The browser's WebSocket has no backpressure: rows that arrive faster than they are consumed wait in
 * memory, so give `maxRows` or a LIMIT where a result may be huge. Leaving a loop early cancels the query on the server.
 */
export interface Query<Result = Row> extends AsyncIterable<Result> {
  readonly id: string;
  readonly sql: string;
  readonly progress?: QueryProgress;
  readonly result: Promise<QueryResult>;
  on<Event extends keyof QueryEvents>(event: Event, listener: (detail: QueryEvents[Event]) => void): () => void;
  batches(): AsyncIterable<Batch>;
  cancel(): void;
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
  row?: unknown;
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

/** `code` is the server's (`SQL_ERROR`, `BUSY`, …) or `CANCELLED`, `DISCONNECTED`, `CLOSED`. */
export class TablecastError extends Error {
  constructor(message: string, code: string, details?: object);
  readonly code: string;
  readonly details?: unknown;
  readonly sqliteCode?: number;
  /** Where in the SQL, in bytes of UTF-8. */
  readonly sqlOffset?: number;
  /** Whether the transaction that the query was part of is open still; false when it was rolled back with it. */
  readonly inTransaction?: boolean;
  /** Of `CANCELLED`. */
  readonly reason?: "client" | "timeout" | "disconnect" | "shutdown";
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
