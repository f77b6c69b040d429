// Who is connected, and where their cursors are.

import { Emitter } from "./tablecast-core.js";

const CURSOR_INTERVAL_MS = 50; // the server lets 20 cursors a second through

/** Who is connected and where their cursors are. */
export class Presence extends Emitter {
  people = new Map();
  #client;
  #subscription;
  #cursor;
  #timer;

  constructor(client) {
    super();
    this.#client = client;
    this.#subscription = client.subscribe("collaboration");
    this.#subscription.on("message", (message) => this.#receive(message));
    this.#subscription.on("live", () => this._renamed());
  }

  /** A new user for the others, who need its cursor. */
  _renamed() {
    if (this.#cursor) this.moveCursor(this.#cursor);
  }

  /** Sends the cursor of this user to the others; only the latest of 50 ms is sent. */
  moveCursor(cursor) {
    this.#cursor = cursor;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#client.state === "open") this.#client._send("user:cursor", this.#cursor);
    }, CURSOR_INTERVAL_MS);
  }

  #receive({ type, data }) {
    const known = this.people.get(data.userId);
    if (type === "user:list") {
      this.people = new Map(data.users.map((user) => [user.userId, { ...user, text: user.cursor?.text }]));
    } else if (type === "user:joined") {
      this.people.set(data.userId, { joinedAt: Date.now(), ...known, userId: data.userId, username: data.username });
    } else if (type === "user:left") {
      this.people.delete(data.userId);
    } else if (type === "user:cursor") {
      const { userId, username, ...cursor } = data;
      // Who is in a table, or in another's text, still has a text of its own.
      const isOwnText = cursor.position && (cursor.textOf ?? userId) === userId;
      const text = isOwnText ? cursor.text : known?.text;
      this.people.set(userId, { ...known, userId, username, cursor, text });
    } else {
      return;
    }
    this._emit("change", this.people);
  }
}

