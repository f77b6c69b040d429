// What SQLite will do for a query, as a tree: EXPLAIN QUERY PLAN (https://sqlite.org/eqp.html).

import { el } from "./dom.js";

/** @param rows `[id, parent, notused, detail]` */
export function planTree(rows) {
  const children = new Map();
  for (const row of rows) children.set(row[1], [...(children.get(row[1]) ?? []), row]);
  const list = (parent, depth) => el(depth === 0 ? "ul.plan" : "ul", { role: depth === 0 ? "tree" : "group" }, (children.get(parent) ?? []).map((row) => item(row, depth)));
  const item = ([id, , , detail], depth) => el(`li.plan-${kindOf(detail)}`, { role: "treeitem", "aria-level": depth + 1 }, el("span", detail), children.has(id) && depth < 100 && list(id, depth + 1));
  return list(0, 0);
}

/** What reads a whole table, or sorts, is where time goes. */
function kindOf(detail) {
  if (/^SCAN (?!.*USING (COVERING )?INDEX|CONSTANT ROW)/.test(detail)) return "scan";
  if (/^USE TEMP B-TREE/.test(detail)) return "sort";
  return /^SEARCH|USING/.test(detail) ? "search" : "step";
}
