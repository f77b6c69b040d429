// What the parts of the client share: errors, events, promises, identifiers, positions.

/** What went wrong, with the server's code (`SQL_ERROR`, `BUSY`, …) or the client's (`DISCONNECTED`, `CLOSED`, `CANCELLED`). */
export class TablecastError extends Error {
  constructor(message, code, details = {}) {
    super(message);
    this.name = "TablecastError";
    this.code = code;
    Object.assign(this, details);
  }
}

/** Listeners by event name. A listener that throws is reported and stops no other. */
export class Emitter {
  #listeners = new Map();

  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event).add(listener);
    return () => this.#listeners.get(event).delete(listener);
  }

  _emit(event, detail) {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(detail);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** A promise with its `resolve` and `reject`. A rejection that is not handled is reported by the engine, unless `settleable(true)`. */
export function settleable(isQuiet = false) {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }));
  if (isQuiet) quiet(deferred.promise);
  return deferred;
}

/** A rejection of this promise is also reported elsewhere. */
export function quiet(promise) {
  promise.catch(() => {});
}

/** Identifiers that differ between connections: `crypto.randomUUID` is missing on plain http beyond localhost. */
export function identifierSource() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const prefix = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  let count = 0;
  return () => `${prefix}-${(count += 1)}`;
}

const PASSING = new Set(["BUSY", "DATABASE_GONE", "INTERRUPTED"]);
const LIMITS = new Set(["RATE_LIMITED", "TOO_MANY_QUERIES"]);

/**
 * Whether the same request can succeed later: the database is away or locked, the server stops, or a limit is reached that the
 * request was within before.
 */
export const mayPass = ({ code, retryAfter }, hadBegun) => PASSING.has(code) || (LIMITS.has(code) && (hadBegun || retryAfter !== undefined));

/** Milliseconds before an attempt, from 0 on: doubled each time up to a limit, and randomized. */
export const retryDelay = ({ minRetryDelay, maxRetryDelay }, attempt) => Math.min(maxRetryDelay, minRetryDelay * 2 ** attempt) * (0.5 + Math.random() / 2);

/** Repeats a request that failed for a reason that passes. A new connection repeats it without this. */
export class Retries {
  #options;
  #again;
  #attempt = 0;
  #timer;

  constructor(options, again) {
    this.#options = options;
    this.#again = again;
  }

  get areWaiting() {
    return this.#timer !== undefined;
  }

  later({ retryAfter = 0 }) {
    this.stop();
    const delay = Math.max(retryAfter, retryDelay(this.#options, this.#attempt));
    this.#attempt += 1;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#again();
    }, delay);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The request was granted. */
  succeeded() {
    this.stop();
    this.#attempt = 0;
  }
}

const placeOf = (position) => {
  const colon = position.lastIndexOf(":");
  return [position.slice(0, colon), Number(position.slice(colon + 1))];
};

/** Whether a position is of another epoch or further on: while transactions are replayed, old ones come again. */
export function isNewer(position, than) {
  if (position === undefined || than === undefined) return position !== undefined;
  const [[epoch, number], [oldEpoch, oldNumber]] = [placeOf(position), placeOf(than)];
  return epoch !== oldEpoch || number > oldNumber;
}

export const epochOf = (position) => position && placeOf(position)[0];

/** Runs `close` when the signal is aborted, at once if it is; returns the function that forgets it. */
export function onAbort(signal, close) {
  if (!signal) return () => {};
  if (signal.aborted) close();
  else signal.addEventListener("abort", close, { once: true });
  return () => signal.removeEventListener("abort", close);
}

/**
 * The details of one event of an emitter as an async iteration, with a queue of those not yet consumed.
 * @param isEnded whether no event follows; `error` is then thrown, if there is one
 */
export async function* events(emitter, event, ended) {
  const queue = [];
  let wake = () => {};
  const stops = [emitter.on(event, (detail) => (queue.push(detail), wake())), emitter.on("error", () => wake()), emitter.on("end", () => wake())];
  try {
    while (true) {
      while (queue.length > 0) yield queue.shift();
      const { error, isEnded } = ended();
      if (error) throw error;
      if (isEnded) return;
      await new Promise((resolve) => (wake = resolve));
    }
  } finally {
    stops.forEach((stop) => stop());
  }
}

/** The rows of what is live: at once where there are any, then after each change; a slow reader gets the newest alone. */
export async function* newestRows(source, ended) {
  let wake = () => {};
  const stops = ["change", "error", "end"].map((event) => source.on(event, () => wake()));
  let last;
  try {
    while (true) {
      if (source.isLive && source.rows !== last) {
        last = source.rows;
        yield last;
        continue; // what has changed meanwhile
      }
      const { error, isEnded } = ended();
      if (error) throw error;
      if (isEnded) return;
      await new Promise((resolve) => (wake = resolve));
    }
  } finally {
    stops.forEach((stop) => stop());
  }
}

export const now = () => performance.now();
