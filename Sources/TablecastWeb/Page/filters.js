// What people type above a column, as SQL: a text that is to be part of it, a comparison, NULL.

import { hex, quoted } from "./format.js";
import { InvalidText } from "/tablecast.js";

const COMPARISON = /^(<=|>=|<>|!=|=|<|>)\s*([\s\S]*)$/;
const OPERATORS = { "!=": "<>" };
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
const MOST_SEARCHED = 100; // columns; an expression may be only so deep

/** The help that is shown beside the filters. */
export const FILTER_HELP = "text · =exact · >10 · <>5 · NULL · not NULL";

/** `{ sql, params }`, with parameters by place, or undefined where everything passes. */
export function conditionOf({ search, filters }, columns) {
  const params = [];
  const parts = [];
  for (const [name, text] of filters) {
    const column = columns.find((each) => each.name === name);
    const part = column && columnCondition(column, text.trim(), params);
    if (part) parts.push(part);
  }
  if (search.trim() !== "") {
    params.push(pattern(search.trim()));
    const place = params.length;
    const searched = columns.slice(0, MOST_SEARCHED).map(({ name }) => `${quoted(name)} LIKE ?${place} ESCAPE '\\'`);
    parts.push(`(${searched.join(" OR ")})`);
  }
  return parts.length > 0 ? { sql: parts.join(" AND "), params } : undefined;
}

function columnCondition({ name, type }, text, params) {
  const column = quoted(name);
  if (text === "") return undefined;
  if (/^(is\s+)?null$/i.test(text)) return `${column} IS NULL`;
  if (/^(is\s+)?not\s+null$/i.test(text)) return `${column} IS NOT NULL`;
  const [, operator, operand] = COMPARISON.exec(text) ?? [];
  if (operator === undefined) {
    params.push(pattern(text));
    return `${column} LIKE ?${params.length} ESCAPE '\\'`;
  }
  const blob = /^x'((?:[\da-f]{2})*)'$/i.exec(operand);
  const isQuoted = /^'[\s\S]*'$/.test(operand);
  const plain = isQuoted ? operand.slice(1, -1) : operand;
  params.push(blob ? bytesOf(blob[1]) : plain);
  const sql = `${column} ${OPERATORS[operator] ?? operator} ?${params.length}`;
  // A column without a type keeps numbers and texts apart.
  if (blob || isQuoted || hasAffinity(type) || !NUMBER.test(plain)) return sql;
  params.push(/^[+-]?\d{16,}$/.test(plain) ? bigIntOf(plain) : Number(plain));
  return operator === "<>" || operator === "!=" ? `(${sql} AND ${column} <> ?${params.length})` : `(${sql} OR ${column} ${operator} ?${params.length})`;
}

const bigIntOf = (text) => (BigInt.asIntN(64, BigInt(text)) === BigInt(text) ? BigInt(text) : Number(text));
const bytesOf = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** Whether SQLite turns a text into what the column holds (https://sqlite.org/datatype3.html#determination_of_column_affinity). */
const hasAffinity = (type) => Boolean(type) && !/blob/i.test(type);

/** A pattern for LIKE that is found where the text is. */
const pattern = (text) => `%${text.replace(/[\\%_]/g, "\\$&")}%`;

/** The filter that lets exactly one value through; undefined for what cannot be typed. */
export function exactly(value) {
  if (value === null || value === undefined || value instanceof InvalidText) return undefined;
  if (value instanceof Uint8Array) return `=x'${hex(value)}'`;
  return typeof value === "string" ? `='${value}'` : `=${value}`;
}
