// The last messages, and those of them that a filter lets through. A model; it draws nothing.

import { encodeValue } from "/tablecast.js";

const KEPT = 5_000;

export class Feed {
  /** Newest last. */
  #messages = [];
  #filter = { channel: "", table: "", text: "" };
  /** What passes the filter, newest last. */
  shown = [];
  isPaused = false;
  /** Messages that arrived while paused. */
  missed = 0;
  received = 0;
  onchange = () => {};

  receive(message) {
    this.received += 1;
    this.#messages.push(message);
    if (this.#messages.length >= 2 * KEPT) this.#messages = this.#messages.slice(-KEPT); // halving is rare, shifting would not be
    if (this.#passes(message)) {
      if (this.isPaused) this.missed += 1;
      else this.#append(message);
    }
    this.onchange();
  }

  filter(filter) {
    this.#filter = { ...filter, text: filter.text.toLowerCase() };
    this.#select();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    if (!isPaused) this.#select();
    this.onchange();
  }

  clear() {
    this.#messages = [];
    this.#select();
  }

  #append(message) {
    this.shown.push(message);
    if (this.shown.length >= 2 * KEPT) this.shown = this.shown.slice(-KEPT);
  }

  #select() {
    this.missed = 0;
    this.shown = this.#messages.filter((message) => this.#passes(message));
    this.onchange();
  }

  #passes(message) {
    const { channel, table, text } = this.#filter;
    if (channel !== "" && message.channel !== channel) return false;
    if (table !== "" && message.data?.tableName !== table) return false;
    return text === "" || rawJSON(message).toLowerCase().includes(text);
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
