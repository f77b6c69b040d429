// How numbers, times and SQLite's values look.

import { InvalidText } from "/tablecast.js";
import { isKeyword } from "./sql.js";

const numbers = new Intl.NumberFormat("en");
const compactNumbers = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const LONGEST_CELL = 240;

export const count = (number) => numbers.format(number);
export const compact = (number) => (number < 10_000 ? numbers.format(number) : compactNumbers.format(number));
export const plural = (number, noun, nouns = `${noun}s`) => `${count(number)} ${number === 1 ? noun : nouns}`;
/** What a transaction did to the rows of a table; nothing where it is known only that they changed. */
export const changeCounts = ({ inserted = 0, updated = 0, deleted = 0 }) =>
  [inserted && `inserted ${count(inserted)}`, updated && `updated ${count(updated)}`, deleted && `deleted ${count(deleted)}`].filter(Boolean).join(", ");
export const time = (milliseconds) => clock.format(milliseconds);

export function duration(milliseconds) {
  if (milliseconds < 1) return "<1 ms";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((milliseconds % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(size) {
  return size < 1000 ? `${size} B` : size < 1e6 ? `${(size / 1000).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

/** A text of at most `longest` characters, with the number of omitted ones. */
export const cut = (text, longest) => (text.length > longest ? `${text.slice(0, longest)}\n… and ${plural(text.length - longest, "character")} more; Copy copies the whole value.` : text);

/** A name as it is shown: SQLite allows the empty one, and blanks. */
export const displayName = (name) => (name.trim() === "" ? (name === "" ? "(empty name)" : "(blank name)") : name);

/** The class of a value's cell. */
export function valueKind(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "number" || typeof value === "bigint") return "number";
  return typeof value === "string" ? "text" : "bytes";
}

/** A value on one line, cut to what a cell can show. */
export function valueText(value) {
  switch (valueKind(value)) {
    case "null":
      return "NULL";
    case "number":
      return String(value);
    case "text":
      return value.length > LONGEST_CELL ? value.slice(0, LONGEST_CELL) + "…" : value;
  }
  const data = value instanceof InvalidText ? value.bytes : value;
  if (!(data instanceof Uint8Array)) return JSON.stringify(value);
  return `x'${hex(data.subarray(0, 12))}${data.length > 12 ? "…" : ""}' ${bytes(data.length)}`;
}

export function hex(data) {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An SQL identifier as people write it: quoted only where it must be. */
export const identifier = (name) => (/^[a-z_][a-z\d_]*$/i.test(name) && !isKeyword(name) ? name : quoted(name));

/** An SQL identifier, quoted. */
export const quoted = (name) => `"${name.replaceAll('"', '""')}"`;

/** Who changed something, in a word or two. */
export function author(data, ownId) {
  if (data.origin === "external") return "another process";
  if (data.userId !== undefined && data.userId === ownId) return "you";
  return data.username || (data.queryId ? "a query" : "someone");
}
