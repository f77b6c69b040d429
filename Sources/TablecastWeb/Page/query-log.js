// All queries that this page receives messages about: its own and those of others. A model; it draws nothing.

import { isOwnQueryId } from "./paged-rows.js";

const KEPT = 60;

export class QueryLog {
  /** By queryId, oldest first: `{ id, sql, userId, username, status, progress, message, rowCount, elapsed, startedAt, error }`. */
  queries = new Map();
  onchange = () => {};

  receive({ type, timestamp, data }) {
    if (type === "query:started" && !isOwnQueryId(data.queryId)) {
      this.queries.delete(data.queryId);
      this.queries.set(data.queryId, { ...data, id: data.queryId, status: "running", startedAt: timestamp, rowCount: 0, elapsed: 0 });
      this.#trim();
      return this.onchange();
    }
    const query = this.queries.get(data?.queryId);
    if (!query) return;
    switch (type) {
      case "query:progress":
        Object.assign(query, { progress: data.progress, message: data.message, rowCount: data.rowCount, elapsed: data.elapsed });
        break;
      case "query:complete":
        Object.assign(query, { status: "complete", rowCount: data.rowCount, elapsed: data.duration, changes: data.changes });
        break;
      case "query:error":
        Object.assign(query, { status: "error", error: data.error, elapsed: timestamp - query.startedAt });
        break;
      case "query:cancelled":
        Object.assign(query, { status: "cancelled", reason: data.reason, rowCount: data.rowCount, elapsed: data.duration });
        break;
      default:
        return;
    }
    this.onchange();
  }

  /** The connection was lost: what still ran is out of sight. */
  lost() {
    for (const query of this.queries.values()) if (query.status === "running") query.status = "unknown";
    this.onchange();
  }

  #trim() {
    for (const [id, { status }] of this.queries) {
      if (this.queries.size <= KEPT) return;
      if (status !== "running" || this.queries.size > 4 * KEPT) this.queries.delete(id);
    }
  }
}
