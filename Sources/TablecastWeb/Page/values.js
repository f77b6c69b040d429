// Comparisons of SQLite's values: equality, order, and the identity of rows.

import { InvalidText } from "/tablecast.js";
import { hex } from "./format.js";

/** A column of a record from the wire. A column may be called `constructor`: only what the record itself holds counts. */
export const field = (record, name) => (record && Object.hasOwn(record, name) ? record[name] : undefined);

/** Whether two lists of names are the same. */
export const areEqual = (one, other) => one.length === other.length && one.every((each, index) => each === other[index]);

const rank = (value) =>
  value === null || value === undefined ? 0 : typeof value === "number" || typeof value === "bigint" ? 1 : typeof value === "string" ? 2 : 3;

/** SQLite's order: NULL, numbers, text, blobs; text by a collation, `NOCASE` or `RTRIM`, where one is given. */
export function compareValues(left, right, collation) {
  const ranks = rank(left) - rank(right);
  if (ranks !== 0 || rank(left) === 0) return ranks;
  if (rank(left) === 2 && collation) return compareValues(folded(left, collation), folded(right, collation));
  if (rank(left) === 3) return compareValues(valueKey(left), valueKey(right));
  return left < right ? -1 : left > right ? 1 : 0;
}

/** NOCASE knows the letters of ASCII alone, RTRIM blanks alone. */
const folded = (text, collation) => (collation === "NOCASE" ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text.replace(/ +$/, ""));

export function same(left, right) {
  return left === right || (rank(left) === rank(right) && valueKey(left) === valueKey(right));
}

/** A text that is equal for equal values alone. */
export function valueKey(value) {
  switch (rank(value)) {
    case 0:
      return "-";
    case 1:
      return `n${value}`;
    case 2:
      return `t${value}`;
  }
  return value instanceof InvalidText ? `i${hex(value.bytes)}` : value instanceof Uint8Array ? `b${hex(value)}` : JSON.stringify(value);
}

/** The values at some places of a row as one text. */
export function keyText(values, places) {
  return places.length === 1 ? valueKey(values[places[0]]) : places.map((place) => valueKey(values[place])).join("\u0000");
}
