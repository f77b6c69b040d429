// The rows of a live query as they are shown: those that came or changed are marked for a while, those that went stay in sight as
// long, each behind the row that it stood behind. A model; it draws nothing.

import { MARK_MS } from "./live-rows.js";
import { same } from "./values.js";

const MOST_MARKS = 2_000;
const MOST_REPLACED = 10_000; // in a tab that is not drawn
const MOST_LEFT = 200; // rows that went and are still in sight

export class LiveResult {
  #live;
  #onchange;
  /** Marks by row, `{ op, cells, at }`, the oldest first; `cells` are the names of the columns that an update changed. */
  #marks = new Map();
  #left = 0;
  /** What has become of rows since `rows` was asked for last. */
  #replaced = new Map();
  #shown = [];
  #isSettled = false;
  #isFirst = true;

  /** @param live the client's LiveQuery */
  constructor(live, onchange) {
    this.#live = live;
    this.#onchange = onchange;
    live.on("change", (change) => this.#changed(change));
  }

  get columns() {
    return this.#live.columns;
  }

  /** To show: the result, and among it what has left it lately. */
  get rows() {
    if (!this.#isSettled) this.#settle();
    return this.#shown;
  }

  /** What a row has become meanwhile, as far as it is still shown. */
  current(row) {
    while (this.#replaced.has(row)) row = this.#replaced.get(row);
    return row;
  }

  markOf(row) {
    return this.#marks.get(row);
  }

  /** Drops marks whose time is over, and the rows that stayed for theirs. */
  expire(now = performance.now()) {
    let isAny = false;
    for (const [row, mark] of this.#marks) {
      if (now - mark.at < MARK_MS) break;
      this.#unmark(row);
      isAny = true;
    }
    if (isAny) this.#unsettled();
  }

  #changed({ rows, reset }) {
    if (reset) this.#begun();
    for (const { op, before, after } of rows) {
      if (op === "insert") this.#mark(after, { op });
      else if (op === "delete") this.#leave(before);
      else this.#replace(before, after);
    }
    this.#unsettled();
  }

  /** All rows were sent again. Those that are equal are the same objects, the others came and went. */
  #begun() {
    if (this.#isFirst) return void (this.#isFirst = false);
    const known = new Set(this.#shown.map((row) => this.current(row)));
    const now = new Set(this.#live.rows);
    for (const row of known) if (!now.has(row) && this.#marks.get(row)?.op !== "delete") this.#leave(row);
    for (const row of now) if (!known.has(row)) this.#mark(row, { op: "insert" });
  }

  #replace(before, after) {
    const earlier = this.#marks.get(before);
    this.#unmark(before);
    this.#replaced.set(before, after);
    if (earlier?.op === "insert") return this.#mark(after, { op: "insert" });
    const cells = new Set(earlier?.cells);
    for (const name of this.columns) if (!same(before?.[name], after[name])) cells.add(name);
    this.#mark(after, { op: "update", cells });
  }

  #leave(row) {
    this.#unmark(row);
    this.#mark(row, { op: "delete" });
    this.#left += 1;
    if (this.#left <= MOST_LEFT) return;
    for (const [oldest, { op }] of this.#marks) if (op === "delete") return this.#unmark(oldest);
  }

  #mark(row, mark) {
    this.#marks.delete(row); // the newest is the last
    this.#marks.set(row, { cells: undefined, at: performance.now(), ...mark });
    if (this.#marks.size > MOST_MARKS) this.#unmark(this.#marks.keys().next().value);
  }

  #unmark(row) {
    if (this.#marks.get(row)?.op === "delete") this.#left -= 1;
    this.#marks.delete(row);
  }

  #unsettled() {
    this.#isSettled = false;
    if (this.#replaced.size > MOST_REPLACED) this.#settle();
    this.#onchange();
  }

  #settle() {
    this.#isSettled = true;
    const { rows } = this.#live;
    const behind = new Map();
    let before;
    if (this.#left > 0) {
      for (const old of this.#shown) {
        const row = this.current(old);
        const isLeft = this.#marks.get(row)?.op === "delete";
        if (!isLeft) before = row;
        else if (behind.has(before)) behind.get(before).push(row);
        else behind.set(before, [row]);
      }
    }
    this.#replaced.clear();
    this.#shown = behind.size > 0 ? [...(behind.get(undefined) ?? []), ...rows.flatMap((row) => (behind.has(row) ? [row, ...behind.get(row)] : [row]))] : rows;
  }
}
