// Results as files. Written in slices, so that a million rows don't freeze the page.

import { InvalidText } from "/tablecast.js";
import { nextFrame } from "./frame.js";
import { hex } from "./format.js";

const SLICE = 20_000;

/** RFC 4180: CRLF, quotes where needed. NULL is an empty field, the empty text is `""`, bytes are hex. */
export const saveCSV = (name, result) =>
  save(`${name}.csv`, "text/csv", result, `${result.columns.map(csvText).join(",")}\r\n`, (row) => `${row.map(csvField).join(",")}\r\n`, "");

/** One object a row; of columns that bear one name, the later ones get a number, as in SQLite: `a`, `a:1`. Integers are written in full, also beyond 2^53; bytes are `{"$base64": …}` as in the protocol. */
export function saveJSON(name, result) {
  const names = unique(result.columns).map((name) => JSON.stringify(name));
  const line = (row, index) => `${index === 0 ? "" : ",\n"}{${row.map((value, column) => `${names[column]}:${jsonValue(value)}`).join(",")}}`;
  return save(`${name}.json`, "application/json", result, "[", line, "]\n");
}

function unique(columns) {
  const taken = new Set(columns);
  const seen = new Set();
  return columns.map((column) => {
    let name = column;
    for (let number = 1; seen.has(name) || (name !== column && taken.has(name)); number++) name = `${column}:${number}`;
    seen.add(name);
    return name;
  });
}

async function save(fileName, type, { rows }, head, line, tail) {
  const parts = [head];
  for (let start = 0; start < rows.length; start += SLICE) {
    let part = "";
    for (let index = start; index < Math.min(rows.length, start + SLICE); index++) part += line(rows[index], index);
    parts.push(part);
    await nextFrame();
  }
  parts.push(tail);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function csvField(value) {
  if (value === null) return "";
  if (typeof value === "string") return value === "" ? '""' : csvText(value);
  if (value instanceof InvalidText) return hex(value.bytes);
  return value instanceof Uint8Array ? hex(value) : String(value);
}

const csvText = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function jsonValue(value) {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return JSON.stringify(String(value));
  if (value instanceof Uint8Array || value instanceof InvalidText) {
    const data = value instanceof InvalidText ? value.bytes : value;
    let binary = "";
    for (const byte of data) binary += String.fromCharCode(byte);
    return JSON.stringify({ [value instanceof InvalidText ? "$text" : "$base64"]: btoa(binary) });
  }
  return JSON.stringify(value);
}
