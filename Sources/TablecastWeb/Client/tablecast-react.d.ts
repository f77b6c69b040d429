// Hooks for React 18 and later.

import type { Client, LiveOptions, LiveQuery, LiveTable, Parameters, Position, Row, State, TablecastError, TableOptions } from "./tablecast.js";

export interface LiveState<Result, Source> {
  /** Stays the same array while nothing changes. */
  readonly rows: readonly Result[];
  readonly isLoading: boolean;
  readonly error?: TablecastError;
  readonly position?: Position;
  readonly source?: Source;
}

/** The rows of a SELECT, live. `sql` undefined runs nothing. */
export function useLiveQuery<Result = Row>(client: Client | undefined, sql: string | undefined, params?: Parameters, options?: Pick<LiveOptions, "key">): LiveState<Result, LiveQuery<Result>>;

/** A table, or what `where` lets through of it, live and writable. */
export function useLiveTable<Result extends object = Row>(
  client: Client | undefined,
  name: string | undefined,
  options?: Pick<TableOptions, "where" | "params">,
): LiveState<Result, LiveTable<Result>> & Pick<LiveTable<Result>, "insert" | "update" | "delete">;

export function useConnection(client: Client): State;
