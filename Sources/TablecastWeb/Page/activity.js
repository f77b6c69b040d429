// Changes over the last minutes, in buckets, and the line that shows them.

import { svg } from "./dom.js";

const BUCKET_MS = 2_000;
const BUCKETS = 90; // three minutes
const RATE_BUCKETS = 5;
const REDRAW_MS = 300;

export class Activity {
  #counts = new Float64Array(BUCKETS);
  #newest = 0;
  #since = Date.now() - BUCKET_MS; // the first changes after the opening are no rush
  total = 0;

  add(changes, now = Date.now()) {
    this.#advance(now);
    this.#counts[this.#newest % BUCKETS] += changes;
    this.total += changes;
  }

  /** Changes a second, over the last eight to ten: the newest bucket counts for as long as it has lasted. */
  rate(now = Date.now()) {
    this.#advance(now);
    let sum = 0;
    for (let back = 0; back < RATE_BUCKETS; back++) sum += this.#at(back);
    const lasted = (RATE_BUCKETS - 1) * BUCKET_MS + (now % BUCKET_MS);
    return (sum / Math.max(1, Math.min(lasted, now - this.#since))) * 1000;
  }

  /** The `d` of a line through all buckets, or an empty one after three silent minutes. */
  path(width, height, now = Date.now()) {
    this.#advance(now);
    const peak = Math.max(...this.#counts);
    if (peak === 0) return "";
    let path = "";
    for (let back = BUCKETS - 1; back >= 0; back--) {
      const x = ((BUCKETS - 1 - back) / (BUCKETS - 1)) * width;
      const y = height - 1 - Math.sqrt(this.#at(back) / peak) * (height - 2); // a root, so that small ones are seen
      path += `${path ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    }
    return path;
  }

  #at(back) {
    const bucket = this.#newest - back;
    return bucket < 0 ? 0 : this.#counts[bucket % BUCKETS];
  }

  #advance(now) {
    const bucket = Math.floor(now / BUCKET_MS);
    if (bucket - this.#newest >= BUCKETS) this.#counts.fill(0);
    else for (let next = this.#newest + 1; next <= bucket; next++) this.#counts[next % BUCKETS] = 0;
    this.#newest = Math.max(bucket, this.#newest);
  }
}

/** A small line chart of an activity; `draw()` brings it up to date, if that was not done a moment ago. */
export class Sparkline {
  #line = svg("path");
  #area = svg("path.area");
  #last = undefined;
  #drawnAt = 0;

  constructor(activity, width, height) {
    this.activity = activity;
    this.width = width;
    this.height = height;
    this.element = svg(
      "svg.sparkline",
      { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": "changes over three minutes" },
      this.#area,
      this.#line,
    );
  }

  draw(now = performance.now()) {
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    const path = this.activity.path(this.width, this.height);
    if (path === this.#last) return;
    this.#last = path;
    this.element.toggleAttribute("data-silent", path === "");
    this.#line.setAttribute("d", path);
    this.#area.setAttribute("d", path && `${path}L${this.width} ${this.height}L0 ${this.height}Z`);
  }
}
