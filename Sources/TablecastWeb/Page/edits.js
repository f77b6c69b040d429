// Edits of this page's user: one row at a time, never over a change of another user; and undo.

import { TablecastError } from "/tablecast.js";

const KEPT = 100;

/** A model; it draws nothing. */
export class Edits {
  #client;
  #done = [];
  #isUndoing = false;
  onchange = () => {};

  constructor(client) {
    this.#client = client;
  }

  /** Whether this token may write rows at all. */
  get isAllowed() {
    return this.#client.server?.capabilities.includes("write") ?? false;
  }

  get canUndo() {
    return this.#done.length > 0 && !this.#isUndoing;
  }

  /** Writes one column, if it is still what was seen. */
  async update(table, identity, column, seen, value) {
    const written = await this.#client.writeRow({ table, op: "update", ...identity, before: { [column.name]: seen }, values: { [column.name]: value } });
    if (written.changes === 0) throw refusedByTrigger();
    this.#keep({ what: `the change of ${column.name} in ${table}`, undo: { table, op: "update", ...identityAfter(identity, written), before: written.row, values: { [column.name]: seen } } });
    return written;
  }

  /** @param key the names of the primary key's columns */
  async insert(table, values, key) {
    const written = await this.#client.writeRow({ table, op: "insert", values });
    if (written.changes === 0) throw refusedByTrigger();
    const identity = written.rowid === undefined ? { key: Object.fromEntries(key.map((name) => [name, written.row[name]])) } : { rowid: written.rowid };
    this.#keep({ what: `the new row of ${table}`, undo: { table, op: "delete", ...identity, before: written.row } });
    return written;
  }

  /** @param columns those that were seen; generated ones cannot be written back */
  async delete(table, identity, columns, values) {
    const seen = Object.fromEntries(columns.map(({ name }, index) => [name, values[index]]));
    const written = await this.#client.writeRow({ table, op: "delete", ...identity, before: seen });
    if (written.changes === 0) throw refusedByTrigger();
    const stored = Object.fromEntries(columns.filter(({ generated }) => !generated).map(({ name }) => [name, seen[name]]));
    this.#keep({ what: `the deletion in ${table}`, undo: { table, op: "insert", rowid: identity.rowid, values: stored } });
    return written;
  }

  /** Undoes the last edit, unless the row has changed since; returns the edit. */
  async undo() {
    const entry = this.#done.pop();
    if (!entry) return undefined;
    this.#isUndoing = true;
    this.onchange();
    try {
      await this.#client.writeRow(entry.undo);
      return entry.what;
    } catch (error) {
      if (error.code === "CONFLICT") throw new TablecastError(`Not undone: the row was changed after ${entry.what}.`, "CONFLICT", { row: error.row });
      if (error.code === "DISCONNECTED" || error.code === "BUSY") this.#done.push(entry); // it can be tried again
      throw error;
    } finally {
      this.#isUndoing = false;
      this.onchange();
    }
  }

  #keep(entry) {
    this.#done.push(entry);
    if (this.#done.length > KEPT) this.#done.shift();
    this.onchange();
  }
}

const refusedByTrigger = () => new TablecastError("A trigger of the table ignored the write.", "CONSTRAINT");

/** The row's name after a write, which can be to its key. */
function identityAfter({ key, rowid }, { row, rowid: newRowid }) {
  return {
    key: key && Object.fromEntries(Object.keys(key).map((name) => [name, row[name]])),
    rowid: rowid === undefined ? undefined : newRowid,
  };
}
