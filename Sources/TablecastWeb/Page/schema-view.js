// The schema of a table: columns, keys, indexes, triggers and SQL.

import { el } from "./dom.js";
import { displayName } from "./format.js";
import { highlighted } from "./sql.js";

export class SchemaView {
  element = el("div.schema-view");

  clear() {
    this.element.replaceChildren();
  }

  draw(description) {
    const { columns = [], foreignKeys = [], indexes = [], triggers = [], sql } = description;
    this.element.replaceChildren(
      section("Columns", columns.length > 0 && columnsTable(columns, rowidColumn(description))),
      ...[
        foreignKeys.length > 0 && section("Foreign keys", el("ul.plain", grouped(foreignKeys).map(foreignKey))),
        indexes.length > 0 && section("Indexes", el("ul.plain", indexes.map(index))),
        triggers.length > 0 && section("Triggers", triggers.map((trigger) => object(trigger.name, trigger.sql))),
      ].filter(Boolean),
      section("SQL", sql ? code(sql) : el("p.quiet", "SQLite has no SQL for this.")),
    );
  }
}

const section = (title, ...content) => el("section", el("h2", title), ...content);
const code = (sql) => el("pre.code", { tabindex: "0" }, highlighted(sql));

/** The column that is an alias of the rowid and therefore never NULL. A key with an index of its own is no alias: `INTEGER PRIMARY KEY DESC`. */
function rowidColumn({ kind, withoutRowid, columns, indexes }) {
  const key = columns.filter(({ primaryKey }) => primaryKey > 0);
  const isRowid = kind === "table" && !withoutRowid && key.length === 1 && /^integer$/i.test(key[0].type ?? "");
  return isRowid && !indexes.some(({ origin }) => origin === "primary key") ? key[0].name : undefined;
}

function columnsTable(columns, rowid) {
  const header = ["Name", "Type", "Key", "Null", "Default"].map((title) => el("th", { scope: "col" }, title));
  const rows = columns.map(({ name, type, notNull, default: initial, primaryKey, hidden, generated }) =>
    el(
      "tr",
      el("th", { scope: "row" }, el("bdi", displayName(name))),
      el("td", type ? el("code", type) : el("span.quiet", "any")),
      el("td", primaryKey ? el("span.key", "primary") : generated ? el("span.quiet", `generated, ${generated}`) : hidden ? el("span.quiet", "hidden") : ""),
      el("td", notNull || name === rowid ? el("span", "not null") : el("span.quiet", "nullable")),
      el("td", initial === undefined || initial === null ? "" : el("code", String(initial))),
    ),
  );
  return el("div.scroller", el("table.columns", el("thead", el("tr", header)), el("tbody", rows)));
}

/** A key of several columns comes as several entries of one id. */
function grouped(foreignKeys) {
  const byId = new Map();
  for (const { from, to, ...key } of foreignKeys) {
    if (!byId.has(key.id)) byId.set(key.id, { ...key, own: [], theirs: [] });
    byId.get(key.id).own.push(from);
    if (to) byId.get(key.id).theirs.push(to);
  }
  return [...byId.values()];
}

function foreignKey({ own, table, theirs, onDelete, onUpdate }) {
  const actions = [onDelete && onDelete !== "NO ACTION" && `on delete ${onDelete.toLowerCase()}`, onUpdate && onUpdate !== "NO ACTION" && `on update ${onUpdate.toLowerCase()}`];
  return el(
    "li",
    el("code", own.join(", ")),
    " → ",
    el("a", { href: `#/tables/${encodeURIComponent(table)}/schema` }, el("bdi", displayName(table))),
    theirs.length > 0 && [" ", el("code", theirs.join(", "))],
    el("span.quiet", actions.filter(Boolean).map((action) => ` ${action}`)),
  );
}

function index({ name, unique, columns = [], sql }) {
  const over = columns.map((column) => column?.name ?? column ?? "expression").join(", ");
  return el("li", el("b", el("bdi", displayName(name))), " ", unique && el("span.key", "unique"), " ", el("code", over), sql && code(sql));
}

const object = (name, sql) => el("div", el("h3", el("bdi", displayName(name))), sql && code(sql));
