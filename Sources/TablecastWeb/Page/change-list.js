// What happened to a table lately, row by row: who, what, from which value to which.

import { el } from "./dom.js";
import { displayName, time, valueText } from "./format.js";
import { atMostEvery } from "./frame.js";
import { field, same } from "./values.js";

const KEPT = 40;
const REDRAW_MS = 200;
const SHOWN_COLUMNS = 4;
const WORDS = { insert: "inserted", update: "updated", delete: "deleted", entered: "updated into the filter", left: "updated out of the filter" };

/** Entries are `{ at, who, change }`, or `{ at, who, summary }` if there are too many rows to list. */
export class ChangeList {
  #changes = [];
  #drawn = undefined;
  #list = el("ol.changes", { "aria-label": "Latest changes" });
  #empty = el("p.quiet", "Changes of any process appear here as they are committed.");

  constructor() {
    this.element = el("aside.panel", el("h2", "Latest changes"), this.#empty, this.#list);
  }

  add(change) {
    this.#changes.unshift(change);
    if (this.#changes.length > KEPT) this.#changes.length = KEPT;
  }

  clear() {
    this.#changes = [];
    this.#redraw();
  }

  draw = atMostEvery(REDRAW_MS, () => this.#redraw());

  #redraw() {
    const newest = this.#changes[0];
    if (newest === this.#drawn) return;
    const known = this.#changes.indexOf(this.#drawn);
    const fresh = (known < 0 ? this.#changes : this.#changes.slice(0, known)).map(line);
    this.#list.toggleAttribute("data-busy", fresh.length > 3); // so many at once come without a movement of their own
    if (known < 0) this.#list.replaceChildren(...fresh);
    else this.#list.prepend(...fresh);
    while (this.#list.childElementCount > KEPT) this.#list.lastElementChild.remove();
    this.#drawn = newest;
    this.#empty.hidden = this.#changes.length > 0;
  }
}

function line({ at, who, change, summary }) {
  if (!change) return el("li.change", el("p", el("b", who), ` ${summary}`, el("time", time(at))));
  const { op, key, before, after, filter } = change;
  return el(
    `li.change.${op}`,
    el("p", el("b", who), ` ${WORDS[filter ?? op]} `, el("code", keyText(key)), el("time", time(at))),
    op === "update" && differences(before, after),
  );
}

const keyText = (key) => Object.values(key).map(valueText).join(", ").slice(0, 80);

function differences(before = {}, after = {}) {
  const names = Object.keys(after).filter((name) => !same(field(before, name), after[name]));
  const shown = names.slice(0, SHOWN_COLUMNS).map((name) =>
    el("li", el("bdi.quiet", displayName(name)), " ", Object.hasOwn(before, name) && [el("del", short(before[name])), " → "], el("ins", short(after[name]))),
  );
  if (names.length > SHOWN_COLUMNS) shown.push(el("li.quiet", `and ${names.length - SHOWN_COLUMNS} more`));
  return el("ul", shown);
}

const short = (value) => valueText(value).slice(0, 60);
