// The service's plain HTTP side, and the token that a protected service asks for.

import { ownQueryId } from "./paged-rows.js";

const KEY = "tablecast.token";

/** From the fragment of the page's own address, `/#access_token=…`, which no server and no proxy sees; kept for this tab alone. */
export const accessToken = takeToken();

function takeToken() {
  const [, given] = /^#access_token=(.+)$/.exec(location.hash) ?? [];
  try {
    if (given) {
      sessionStorage.setItem(KEY, decodeURIComponent(given));
      history.replaceState(null, "", location.pathname + location.search);
    }
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return given; // storage is blocked: good until the page is reloaded
  }
}

/** Starts again with another token. */
export function useToken(token) {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    location.hash = `#access_token=${encodeURIComponent(token)}`;
  }
  location.reload();
}

export async function fetchJSON(path, signal) {
  const headers = accessToken ? { Authorization: `Bearer ${accessToken}` } : {};
  const response = await fetch(path, { headers, signal }).catch((error) => {
    throw signal?.aborted ? error : new Error("Not connected to the server.");
  });
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body;
  throw new Error(body?.message ?? body?.error ?? `${path}: ${response.status} ${response.statusText}`);
}

/** What a table is made of. A path can't name the table with the empty name: that one is read by SQL, as far as it goes. */
export async function describeTable(name, client, signal) {
  if (name !== "") return fetchJSON(`/tables/${encodeURIComponent(name)}`, signal);
  const read = async (sql) => {
    const rows = [];
    for await (const row of client.query(sql, { signal, queryId: ownQueryId() })) rows.push(row);
    return rows;
  };
  const [object] = await read("SELECT type, sql, (SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = '') AS wr FROM sqlite_schema WHERE name = '' AND type IN ('table', 'view')");
  if (!object) throw new Error("There is no table with an empty name.");
  const columns = await read(`SELECT name, type, "notnull" AS "notNull", dflt_value AS "default", pk AS primaryKey, hidden = 1 AS hidden FROM pragma_table_xinfo('')`);
  const indexes = await read(`SELECT name, "unique" FROM pragma_index_list('')`);
  return { name, kind: object.type, withoutRowid: object.wr === 1, sql: object.sql, columns, indexes, foreignKeys: [], triggers: [] };
}
