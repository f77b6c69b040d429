// Hooks for React 18 and later. React itself comes from the application.

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";

const NONE = Object.freeze([]);

/** The rows of a SELECT, live. `sql` undefined runs nothing. A change of `sql`, `params` or `key` begins again. */
export function useLiveQuery(client, sql, params, { key } = {}) {
  const given = JSON.stringify([params, key], plain);
  return useLive(() => (client && sql !== undefined ? client.live(sql, params, { key }) : undefined), [client, sql, given]);
}

/** A table, or what `where` lets through of it, live and writable: beside its rows `insert`, `update` and `delete`. */
export function useLiveTable(client, name, { where, params } = {}) {
  const given = JSON.stringify([where, params], plain);
  const state = useLive(() => (client && name !== undefined ? client.table(name, { where, params }) : undefined), [client, name, given]);
  return useMemo(
    () => ({
      ...state,
      insert: (values) => state.source.insert(values),
      update: (row, values) => state.source.update(row, values),
      delete: (row) => state.source.delete(row),
    }),
    [state],
  );
}

/** `connecting`, `open`, `waiting` or `closed`. */
export function useConnection(client) {
  return useSyncExternalStore(
    useMemo(() => (listener) => client.on("state", listener), [client]),
    () => client.state,
    () => "connecting",
  );
}

/** What is live is opened by an effect, because a render may be thrown away, and closed with it. */
function useLive(open, dependencies) {
  const [source, setSource] = useState(undefined);
  // The dependencies are those of the caller's closure.
  useEffect(() => {
    const opened = open();
    setSource(opened);
    return () => {
      setSource(undefined);
      opened?.close();
    };
  }, dependencies);
  const subscribe = useMemo(() => source?.subscribe ?? (() => () => {}), [source]);
  const read = useMemo(() => reader(source), [source]);
  return useSyncExternalStore(subscribe, read, read);
}

/** A snapshot that stays the same object while nothing changes. */
function reader(source) {
  let last;
  return () => {
    const rows = source?.isLive ? source.rows : NONE;
    const error = source?.error;
    const isLoading = !source?.isLive && error === undefined;
    if (last === undefined || last.rows !== rows || last.error !== error || last.isLoading !== isLoading) {
      last = { rows, error, isLoading, position: source?.position, source };
    }
    return last;
  };
}

/** What JSON has no form for. */
const plain = (_, value) => (typeof value === "bigint" ? `${value}n` : value instanceof Uint8Array ? [...value] : value);
