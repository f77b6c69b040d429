// Values: between JavaScript, JSON and SQLite.

/** TEXT whose bytes are not UTF-8: kept as they are. */
export class InvalidText {
  constructor(bytes) {
    this.bytes = bytes;
  }
  toString() {
    return new TextDecoder().decode(this.bytes);
  }
}

/** A parameter that arrives as REAL though it is whole: JavaScript has one kind of number, and writes 3.0 as 3. */
export class Real {
  constructor(value) {
    this.value = Number(value);
  }
}


/** A value of the wire as JavaScript's own: BigInt beyond 2^53, Uint8Array for a BLOB. */
export function decodeValue(value) {
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$int64 === "string") return BigInt(value.$int64);
  if (typeof value.$base64 === "string") return bytesFromBase64(value.$base64);
  if (typeof value.$real === "string") return Number(value.$real);
  if (typeof value.$text === "string") return new InvalidText(bytesFromBase64(value.$text));
  return value;
}

/** A JavaScript value as the wire writes it; throws where SQLite has nothing to hold it. */
export function encodeValue(value) {
  switch (typeof value) {
    case "undefined":
      return null;
    case "string":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "number":
      if (Number.isFinite(value)) return value;
      return Number.isNaN(value) ? null : { $real: String(value) }; // SQLite, too, stores NaN as NULL
    case "bigint":
      if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} does not fit in 64 bits`);
      return { $int64: String(value) };
  }
  if (value === null) return null;
  if (value instanceof Real) return Number.isInteger(value.value) ? value : encodeValue(value.value);
  if (value instanceof InvalidText) return { $text: base64FromBytes(value.bytes) };
  if (value instanceof ArrayBuffer) return { $base64: base64FromBytes(new Uint8Array(value)) };
  if (ArrayBuffer.isView(value)) {
    return { $base64: base64FromBytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) };
  }
  throw new TypeError(`a parameter is null, a string, number, bigint, boolean or bytes, not ${typeof value}`);
}

export function encodeParams(params) {
  if (params === undefined || params === null) return undefined;
  if (Array.isArray(params)) return params.map(encodeValue);
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, encodeValue(value)]));
}

export function decodeRecord(record) {
  if (!record) return record;
  for (const name in record) {
    const value = record[name];
    if (value !== null && typeof value === "object") record[name] = decodeValue(value);
  }
  return record;
}

/** In place. The message's type determines the form of a row, never its fields: a table can have columns of any name. */
export const ROW_DECODERS = { "query:rows": decodeRow, "table:snapshot": decodeRow, "table:modified": decodeChange, "query:snapshot": decodeRow, "query:changed": decodeChange };

/** An array in the columns' order, or an object by column. */
export function decodeRow(row) {
  if (!Array.isArray(row)) return decodeRecord(row);
  for (let index = 0; index < row.length; index++) {
    if (row[index] !== null && typeof row[index] === "object") row[index] = decodeValue(row[index]);
  }
  return row;
}

function decodeChange(change) {
  decodeRecord(change.key);
  decodeRecord(change.before);
  decodeRecord(change.after);
  if (change.rowid !== undefined) change.rowid = decodeValue(change.rowid);
}

const REAL_MARK = `real-${crypto.getRandomValues(new Uint32Array(4)).join("-")}:`; // does not occur in a text by chance
const MARKED_REALS = new RegExp(`"${REAL_MARK}([^"]+)"`, "g");

/** JSON in which a whole `Real` keeps its point. */
export function stringify(message) {
  const text = JSON.stringify(message, (_, value) => (value instanceof Real ? REAL_MARK + realText(value.value) : value));
  return text.includes(REAL_MARK) ? text.replace(MARKED_REALS, "$1") : text;
}

function realText(number) {
  const text = Object.is(number, -0) ? "-0" : String(number);
  return text.includes("e") ? text : `${text}.0`;
}

function bytesFromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

function base64FromBytes(bytes) {
  let binary = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}

// MARK: Keys

/** A text that is equal for equal values alone; 3 and 3.0 are one value here, as they are one in JavaScript. */
export function valueKey(value) {
  if (value === null || value === undefined) return "-";
  switch (typeof value) {
    case "number":
    case "bigint":
      return `n${value}`;
    case "string":
      return `t${value}`;
    case "boolean":
      return `n${value ? 1 : 0}`;
  }
  if (value instanceof InvalidText) return `i${base64FromBytes(value.bytes)}`;
  if (value instanceof Real) return `n${value.value}`;
  const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return `b${base64FromBytes(bytes)}`;
}

/** The values of a record as one text, in the order of `names`: lengths keep neighbours apart. */
export function recordKey(record, names) {
  let text = "";
  for (const name of names) {
    const key = valueKey(Object.hasOwn(record, name) ? record[name] : null);
    text += `${key.length}:${key}`;
  }
  return text;
}

export const encodeRecord = (record) => Object.fromEntries(Object.entries(record).map(([name, value]) => [name, encodeValue(value)]));
