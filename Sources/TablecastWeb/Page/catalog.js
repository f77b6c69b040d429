// The tables of the database: kinds, row counts that follow the changes, activity. A model; it draws nothing.

import { Activity } from "./activity.js";
import { author } from "./format.js";
import { fetchJSON } from "./service.js";

const LATEST = 40;
const RECENT = 512; // changes of a table that a count from elsewhere may not know of yet

export class Catalog {
  tables = new Map();
  /** All tables together. */
  activity = new Activity();
  /** The newest changes first: `{ at, tableName, who, type, data }`. */
  latest = [];
  /** Grows when a table comes, goes or gets another name. */
  listVersion = 0;
  loaded = false;
  onchange = () => {};
  /** Called with a table's name whose schema changed, was created or dropped. */
  onschema = () => {};
  #client;

  constructor(client) {
    this.#client = client;
  }

  async load() {
    const begun = placeOf(this.#client.position);
    const { tables } = await fetchJSON("/tables");
    const known = this.tables;
    this.tables = new Map();
    for (const { name, kind, rowEstimate } of tables) {
      const table = known.get(name) ?? newTable(name);
      this.tables.set(name, Object.assign(table, { kind }));
      if (!isIn(begun, table.countedAt)) table.rows = rowEstimate ?? undefined; // else it was counted meanwhile
    }
    this.loaded = true;
    this.listVersion += 1;
    this.onchange();
  }

  /**
   * A table's rows were counted, which an estimate only guesses: as of a position, where one is known. Changes after it that
   * are heard already are added, those up to it that are still to come are not counted twice.
   */
  counted(name, rows, position) {
    const table = this.tables.get(name);
    if (!table) return;
    table.rows = rows;
    if (position !== undefined) {
      table.countedAt = placeOf(position);
      for (const { place, change } of table.recent) if (comesBefore(table.countedAt, place)) table.rows += change;
    }
    this.onchange();
  }

  receive({ type, timestamp, data }) {
    if (type === "table:modified" && data.change === "rows") this.#countRows(data);
    else if (type === "table:created" || type === "table:dropped" || type === "table:modified") this.#schema(type, data);
    else return;
    this.latest.unshift({ at: timestamp, type, data, who: author(data, this.#client.userId) });
    if (this.latest.length > LATEST) this.latest.length = LATEST;
    this.onchange();
  }

  #countRows(data) {
    const { tableName, inserted = 0, updated = 0, deleted = 0 } = data;
    const changes = inserted + updated + deleted;
    this.activity.add(changes);
    const table = this.tables.get(tableName);
    if (!table) return;
    table.activity.add(changes);
    table.inserted += inserted;
    table.updated += updated;
    table.deleted += deleted;
    const place = placeOf(data.transaction?.position);
    table.recent.push({ place, change: inserted - deleted });
    if (table.recent.length >= 2 * RECENT) table.recent = table.recent.slice(-RECENT);
    if (table.rows !== undefined && !isIn(place, table.countedAt)) table.rows = Math.max(0, table.rows + inserted - deleted);
    table.changedAt = performance.now();
    table.changedBy = deleted > inserted ? "deleted" : inserted > 0 ? "inserted" : "updated";
  }

  #schema(type, data) {
    const { tableName, previousName } = data;
    this.listVersion += 1;
    this.activity.add(1);
    if (type === "table:dropped") {
      this.tables.delete(tableName);
    } else if (type === "table:created") {
      this.tables.set(tableName, Object.assign(newTable(tableName), { kind: data.objectType, rows: 0 }));
    } else if (previousName !== undefined && this.tables.has(previousName)) {
      const table = this.tables.get(previousName);
      this.tables.delete(previousName);
      this.tables.set(tableName, Object.assign(table, { name: tableName }));
    }
    const table = this.tables.get(tableName);
    if (table) {
      table.changedAt = performance.now();
      table.changedBy = "schema";
    }
    this.onschema(tableName, data);
  }
}

function newTable(name) {
  const figures = { rows: undefined, countedAt: undefined, recent: [], inserted: 0, updated: 0, deleted: 0 };
  return { name, kind: "table", ...figures, activity: new Activity(), changedAt: undefined };
}

/** A position `epoch:number`, taken apart. */
function placeOf(position) {
  const [epoch, number] = position?.split(":") ?? [];
  return epoch === undefined ? undefined : { epoch, number: Number(number) };
}

const comesBefore = (one, other) => one?.epoch === other?.epoch && one?.number < other?.number;

/** Whether what is counted up to a place includes a change. */
const isIn = (place, counted) => place !== undefined && place.epoch === counted?.epoch && place.number <= counted.number;
