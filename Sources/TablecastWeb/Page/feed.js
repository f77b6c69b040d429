// The last messages, and those of them that a filter lets through. A model; it draws nothing.

import { encodeValue } from "/tablecast.js";

const KEPT = 5_000;
/** By an estimate of what a message takes, its text for searching included. */
const KEPT_BYTES = 64_000_000;

export class Feed {
  /** Newest last: `{ message, number, bytes, text }`. */
  #entries = [];
  #bytes = 0;
  /** The number of the newest. */
  #newest = 0;
  #filter = { channel: "", table: "", text: "" };
  /** What passes the filter, newest last: `{ message, number }`. */
  shown = [];
  /** How many have been added to `shown`, and not by a filter. */
  appended = 0;
  isPaused = false;
  #pausedAt = 0;
  /** Messages that arrived while paused. */
  missed = 0;
  received = 0;
  onchange = () => {};

  receive(message) {
    this.received += 1;
    const entry = { message, number: (this.#newest += 1), bytes: sizeOf(message), text: undefined };
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
    this.#trim();
    if (this.#passes(entry)) {
      if (this.isPaused) this.missed += 1;
      else {
        this.shown.push(entry);
        this.appended += 1;
      }
    }
    this.onchange();
  }

  filter(filter) {
    this.#filter = { ...filter, text: filter.text.toLowerCase() };
    this.#select();
  }

  /** What comes while it is paused is kept, but not shown, whatever the filter. */
  pause(isPaused) {
    this.isPaused = isPaused;
    this.#pausedAt = this.#newest;
    const before = this.shown.length;
    if (!isPaused) this.#select();
    this.appended += Math.max(0, this.shown.length - before);
    this.onchange();
  }

  clear() {
    this.#entries = [];
    this.#bytes = 0;
    this.#pausedAt = this.#newest;
    this.#select();
  }

  /** Seldom and then a half: one by one would move all the others each time. */
  #trim() {
    if (this.#entries.length < 2 * KEPT && this.#bytes <= KEPT_BYTES) return;
    let first = Math.max(0, this.#entries.length - KEPT);
    let bytes = this.#entries.slice(first).reduce((sum, entry) => sum + entry.bytes, 0);
    while (bytes > KEPT_BYTES / 2 && first < this.#entries.length - 1) bytes -= this.#entries[first++].bytes;
    this.#entries = this.#entries.slice(first);
    this.#bytes = bytes;
    const oldest = this.#entries[0].number;
    this.shown = this.shown.filter(({ number }) => number >= oldest);
  }

  #select() {
    const passing = this.#entries.filter((entry) => this.#passes(entry));
    this.shown = this.isPaused ? passing.filter(({ number }) => number <= this.#pausedAt) : passing;
    this.missed = passing.length - this.shown.length;
    this.onchange();
  }

  #passes(entry) {
    const { channel, table, text } = this.#filter;
    const { message } = entry;
    if (channel !== "" && message.channel !== channel) return false;
    if (table !== "" && message.data?.tableName !== table.slice(1)) return false;
    if (text === "") return true;
    entry.text ??= rawJSON(message).toLowerCase();
    return entry.text.includes(text);
  }
}

/** A message as it was on the wire. */
export function rawJSON(message, indent) {
  return JSON.stringify(
    message,
    (_, value) => (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value)) || isBytes(value) ? encodeValue(value) : value),
    indent,
  );
}

const isBytes = (value) => value !== null && typeof value === "object" && (value instanceof Uint8Array || value.bytes instanceof Uint8Array);

/** Bytes that a message takes, once more for its text; roughly what Chromium's heap grows by. */
function sizeOf(value) {
  switch (typeof value) {
    case "string":
      return 16 + 2 * value.length;
    case "object": {
      if (value === null) return 8;
      if (isBytes(value)) return 96 + 3 * (value.length ?? value.bytes.length);
      let bytes = 32;
      for (const name in value) bytes += 16 + sizeOf(value[name]);
      return bytes;
    }
  }
  return 16;
}
