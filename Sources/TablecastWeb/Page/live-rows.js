// A table's rows in the browser: from a snapshot, kept current by changes, in the order the reader chose.

import { compareValues, field, keyText, same, valueKey } from "./values.js";

/** How long a change stays marked, and a deleted row stays to be seen. */
export const MARK_MS = 6_000;
const RESORT_ABOVE = 64; // above this number of moves in one frame, sorting again is cheaper than single moves

export class LiveRows {
  /** Whether the count is one: here it always is. */
  precision = "exact";
  /** In order; deleted ones stay until their mark has faded. */
  rows = [];
  columns = [];
  /** Positions in `columns` of the columns that identify rows. */
  #key = [];
  /** Whether rowids identify the rows, because no key does; undefined until a row has arrived. */
  #isByRowid;
  #collations;
  #byKey = new Map();
  #marked = new Set();
  #sort = { column: undefined, descending: false };
  #moves = [];
  #sequence = 0;
  #deleted = 0;

  /**
   * @param keyColumns the primary key; without one, all values identify a row
   * @param collations of the columns that have another one than BINARY, by their names
   */
  constructor(columns, keyColumns, collations = new Map()) {
    this.columns = columns;
    this.#collations = columns.map((name) => collations.get(name));
    this.#key = (keyColumns.length > 0 ? keyColumns : columns).map((name) => columns.indexOf(name));
  }

  /** Rows to show, those marked as deleted among them. */
  get total() {
    return this.rows.length;
  }

  /** Rows that the table has. */
  get count() {
    return this.rows.length - this.#deleted;
  }

  get sort() {
    return this.#sort;
  }

  /** @param rowids of the records, if no key identifies them */
  load(records, rowids) {
    if (records.length > 0) this.#isByRowid = rowids !== undefined;
    records.forEach((record, index) => {
      const values = Array.isArray(record) ? record : this.columns.map((column) => field(record, column));
      this.#add({ values, rowid: rowids?.[index], order: (this.#sequence += 1), version: 0, mark: undefined });
    });
    this.#moves = undefined;
  }

  sortBy(column, descending) {
    this.#sort = { column, descending };
    this.#moves = undefined;
  }

  /** Applies one change; the row is marked with what happened and who did it. */
  apply({ op, key, rowid, before, after }, who, now = performance.now()) {
    this.#isByRowid ??= rowid !== undefined; // the table was empty
    const mark = { op, who, at: now, cells: undefined };
    if (op === "insert") {
      const row = { values: this.columns.map((column) => field(after, column) ?? field(key, column) ?? null), rowid, order: (this.#sequence += 1), version: 0 };
      this.#add(row);
      this.#setMark(row, mark);
      return row;
    }
    const row = this.#isByRowid ? this.#byKey.get(valueKey(rowid))?.[0] : this.#find({ ...key, ...before }, before) ?? this.#find(key, undefined);
    if (!row) return undefined;
    if (op === "delete") {
      this.#forget(row);
      this.#deleted += 1;
    } else {
      this.#forget(row);
      mark.cells = new Set(row.mark?.op === "update" ? row.mark.cells : []);
      const values = this.columns.map((column, index) => {
        const value = after && Object.hasOwn(after, column) ? after[column] : row.values[index];
        if (!same(value, row.values[index])) mark.cells.add(index);
        return value;
      });
      this.#moves?.push(row);
      row.values = values;
      this.#remember(row);
      if (row.mark?.op === "insert") mark.op = "insert";
    }
    this.#setMark(row, mark);
    return row;
  }

  /** Drops marks, and rows marked as deleted, whose time is over; returns whether there was one. */
  expire(now = performance.now()) {
    let gone = 0;
    for (const row of this.#marked) {
      if (now - row.mark.at < MARK_MS) continue;
      this.#marked.delete(row);
      if (row.mark.op === "delete") {
        row.removed = true;
        this.#deleted -= 1;
      }
      gone += 1;
      row.mark = undefined;
      row.version += 1;
    }
    if (gone > 0) this.rows = this.rows.filter((row) => !row.removed);
    return gone > 0;
  }

  get hasMarks() {
    return this.#marked.size > 0;
  }

  /** Rows of one page, in order. */
  page(start, length) {
    this.#settle();
    return this.rows.slice(start, start + length);
  }

  keyOf(row) {
    return this.#keyText(row.values);
  }

  #add(row) {
    this.rows.push(row);
    this.#remember(row);
    this.#moves?.push(row);
  }

  #setMark(row, mark) {
    row.mark = mark;
    row.version += 1;
    this.#marked.add(row);
  }

  #remember(row) {
    const key = this.#idOf(row);
    const others = this.#byKey.get(key);
    if (others) others.push(row);
    else this.#byKey.set(key, [row]);
  }

  #forget(row) {
    const key = this.#idOf(row);
    const rest = this.#byKey.get(key)?.filter((each) => each !== row) ?? [];
    if (rest.length > 0) this.#byKey.set(key, rest);
    else this.#byKey.delete(key);
  }

  /** A nullable or missing key may be shared by rows: then the old values decide. */
  #find(record, before) {
    const candidates = this.#byKey.get(this.#keyText(this.columns.map((column) => field(record, column))));
    if (!before || candidates?.length === 1) return candidates?.[0];
    const matches = (row) => row.mark?.op !== "delete" && this.columns.every((column, index) => !Object.hasOwn(before, column) || same(before[column], row.values[index]));
    return (candidates ?? this.rows).find(matches) ?? candidates?.[0];
  }

  #idOf(row) {
    return this.#isByRowid ? valueKey(row.rowid) : this.#keyText(row.values);
  }

  #keyText(values) {
    return keyText(values, this.#key);
  }

  /** Brings `rows` in order: a few moved rows by binary search, many by sorting. */
  #settle() {
    const compare = this.#comparator();
    if (this.#moves === undefined || this.#moves.length > RESORT_ABOVE) {
      this.rows.sort(compare);
    } else if (this.#moves.length > 0) {
      const moved = new Set(this.#moves.filter((row) => !row.removed));
      this.rows = this.rows.filter((row) => !moved.has(row));
      for (const row of moved) this.rows.splice(lowerBound(this.rows, row, compare), 0, row);
    }
    this.#moves = [];
  }

  #comparator() {
    const { column, descending } = this.#sort;
    const direction = descending ? -1 : 1;
    const keys = column === undefined ? this.#key : [column];
    return (left, right) => {
      for (const index of keys) {
        const order = compareValues(left.values[index], right.values[index], this.#collations[index]);
        if (order !== 0) return order * direction;
      }
      return left.order - right.order;
    };
  }
}

function lowerBound(rows, row, compare) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(rows[middle], row) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
