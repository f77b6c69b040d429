// The list of tables, alive; beside it one table, or the whole database at a glance.

import { Sparkline } from "./activity.js";
import { el, icon, setText, show } from "./dom.js";
import { changeCounts, compact, count, displayName, plural, time } from "./format.js";
import { atMostEvery, schedule } from "./frame.js";
import { lookOf } from "./location.js";
import { TableView } from "./table-view.js";

const LISTED = 500;
const LATEST_SHOWN = 14;
const LATEST_REDRAW_MS = 200;

export class TablesView {
  #app;
  #items = new Map();
  #search = el("input.search", { type: "search", placeholder: "Find a table", "aria-label": "Find a table", oninput: () => this.#changed(), onkeydown: (event) => this.#searchKey(event) });
  #list = el("ul.tables", { "aria-label": "Tables", onkeydown: (event) => this.#listKey(event) });
  #empty = el("p.quiet.padded", { hidden: true });
  #overview;
  #table;

  constructor(root, app) {
    this.#app = app;
    this.#overview = new Overview(app);
    this.#table = new TableView(app);
    root.append(
      el("div.tables-view", el("aside.sidebar", el("div.search-box", this.#search, el("kbd", "/")), this.#list, this.#empty), el("div.detail", this.#overview.element, this.#table.element)),
    );
    app.catalog.onchange = () => this.#changed();
    app.catalog.onschema = (name, data) => this.#schemaChanged(name, data);
    setInterval(() => this.#changed(), 1000); // lines move on even when nothing happens
  }

  show([name, tab], query) {
    document.body.classList.toggle("has-detail", name !== undefined);
    show(this.#overview.element, name === undefined);
    if (name === undefined) this.#table.close();
    else this.#table.open(name, tab === "schema" ? "schema" : "rows", lookOf(query));
    this.#changed();
  }

  hide() {
    this.#table.close();
  }

  get isTableOpen() {
    return this.#table.name !== undefined;
  }

  toggleTab() {
    this.#table.toggleTab();
  }

  /** Changes of the open table may have been missed. */
  reload() {
    if (this.#table.name !== undefined) this.#table.reload();
  }

  /** The connection is back, and missed nothing. */
  resume() {
    this.#table.resume();
  }

  /** The list of tables was read. */
  loaded() {
    this.#table.tellCount();
  }

  /** On a phone an open table takes its place. */
  get isListShown() {
    return this.#list.checkVisibility();
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  receive(message) {
    this.#table.receive(message);
  }

  /** Enter opens the first table that was found, the arrow leads into the list. */
  #searchKey(event) {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    this.#draw(); // what was typed just now counts
    const first = this.#list.querySelector("a");
    if (event.key === "Enter") first?.click();
    else first?.focus();
  }

  #listKey(event) {
    const item = event.target.closest("li");
    const next = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling ?? this.#search }[event.key];
    if (next === undefined || event.altKey || event.metaKey) return;
    event.preventDefault();
    (next?.querySelector("a") ?? next)?.focus();
  }

  #schemaChanged(name, { previousName }) {
    if (this.#table.name === undefined) return;
    if (previousName === this.#table.name && previousName !== name) location.hash = `#/tables/${encodeURIComponent(name)}/rows`;
    else if (name !== this.#table.name) return;
    else if (this.#app.catalog.tables.has(name)) this.#table.reload();
    else this.#table.dropped();
  }

  #changed = () => schedule(this.#draw);

  #draw = () => {
    const { catalog } = this.#app;
    const wanted = this.#search.value.trim().toLowerCase();
    if (catalog.listVersion !== this.#listed || wanted !== this.#wanted) {
      this.#listed = catalog.listVersion;
      this.#wanted = wanted;
      this.#drawList(catalog, wanted);
    }
    for (const [name, item] of this.#items) item.draw(name === this.#table.name);
    if (!this.#overview.element.hidden) this.#overview.draw();
  };

  #listed;
  #wanted;

  #itemOf = new WeakMap();
  /** Of hundreds of tables only those in sight are kept up to date. */
  #sight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) this.#itemOf.get(target).isInSight = isIntersecting;
      this.#changed();
    },
    { rootMargin: "100px" },
  );

  #drawList({ tables, loaded }, wanted) {
    const found = [...tables.values()].filter(({ name }) => name.toLowerCase().includes(wanted));
    const shown = found.slice(0, LISTED);
    const listed = new Set(shown);
    for (const [name, item] of this.#items) {
      if (listed.has(item.table) && item.table.name === name) continue;
      this.#sight.unobserve(item.element);
      item.element.remove();
      this.#items.delete(name);
    }
    shown.forEach((table, place) => {
      let item = this.#items.get(table.name);
      if (!item) {
        this.#items.set(table.name, (item = new TableItem(table)));
        this.#itemOf.set(item.element, item);
        this.#sight.observe(item.element);
      }
      if (this.#list.children[place] !== item.element) this.#list.insertBefore(item.element, this.#list.children[place] ?? null);
    });
    const rest = found.length - shown.length;
    show(this.#empty, loaded && (shown.length === 0 || rest > 0));
    const none = tables.size === 0 ? "The database has no tables yet. Create one under Queries." : "No table has this name.";
    setText(this.#empty, rest > 0 ? `And ${count(rest)} more: search for them by name.` : none);
  }
}

class TableItem {
  table;
  isInSight = false;
  #isOpen = false;
  #count = el("span.count");
  #sparkline;
  #delta = el("span.delta");
  #link;
  #changedAt;
  #rows = null; // nothing was drawn yet

  constructor(table) {
    this.table = table;
    this.#sparkline = new Sparkline(table.activity, 72, 20);
    this.#changedAt = table.changedAt;
    this.#link = el(
      "a",
      { href: `#/tables/${encodeURIComponent(table.name)}/rows` },
      el("span.kind", { title: table.kind }, icon(table.kind in KIND_ICONS ? KIND_ICONS[table.kind] : "table")),
      el("bdi.name", { title: table.name }, displayName(table.name)),
      this.#delta,
      this.#sparkline.element,
      this.#count,
    );
    this.element = el("li", this.#link);
  }

  #open(isOpen) {
    this.#isOpen = isOpen;
    if (!isOpen) return this.#link.removeAttribute("aria-current");
    this.#link.setAttribute("aria-current", "page");
    // One that was not in sight stays there when the list's height changes while the page is drawn.
    this.element.scrollIntoView({ block: this.isInSight ? "nearest" : "center" });
  }

  /** Touches only what differs: this runs for every table in every frame in which anything changed. */
  draw(isOpen) {
    const { rows, changedAt, changedBy, inserted, updated, deleted } = this.table;
    if (isOpen !== this.#isOpen) this.#open(isOpen);
    if (!this.isInSight) return;
    if (rows !== this.#rows) {
      this.#rows = rows;
      setText(this.#count, rows === undefined ? "–" : compact(rows));
      this.#count.title = rows === undefined ? "" : plural(rows, "row");
    }
    this.#sparkline.draw();
    if (changedAt === this.#changedAt) return;
    this.#changedAt = changedAt;
    this.element.className = this.element.classList.contains("flip") ? `flash ${changedBy}` : `flash flip ${changedBy}`;
    this.#delta.replaceChildren(
      ...[
        inserted > 0 && el("span.inserted", `+${compact(inserted)}`),
        updated > 0 && el("span.updated", `~${compact(updated)}`),
        deleted > 0 && el("span.deleted", `−${compact(deleted)}`),
      ].filter(Boolean),
    );
    this.#delta.title = `Since this page was opened: ${count(inserted)} inserted, ${count(updated)} updated, ${count(deleted)} deleted`;
  }
}

const KIND_ICONS = { view: "view", virtual: "virtual" };

/** The whole database: how much there is, how fast it changes, what happened last. */
class Overview {
  #catalog;
  #client;
  #name = el("h1", "Tablecast");
  #figures = { tables: el("dd"), views: el("dd"), rows: el("dd"), changes: el("dd"), rate: el("dd") };
  #sparkline;
  #list = el("ol.latest", { "aria-label": "Latest changes" });
  #none = el("p.empty-hint", { hidden: true }, "The database has no tables yet. ", el("a", { href: "#/queries" }, "Create one under Queries."));
  #quiet = el("p.quiet", "No changes yet. Changes that this service or any other process commits appear here at once.");
  #newest;

  constructor({ catalog, client }) {
    this.#catalog = catalog;
    this.#client = client;
    this.#sparkline = new Sparkline(catalog.activity, 900, 120);
    const figure = (title, value) => el("div", el("dt", title), value);
    this.element = el(
      "article.overview",
      this.#name,
      this.#none,
      el(
        "dl.figures",
        figure("Tables", this.#figures.tables),
        figure("Views", this.#figures.views),
        figure("Rows", this.#figures.rows),
        figure("Changes seen", this.#figures.changes),
        figure("Changes per second", this.#figures.rate),
      ),
      el("figure.pulse", this.#sparkline.element, el("figcaption.quiet", "Changes over the last three minutes")),
      el("section", el("h2", "Latest changes"), this.#quiet, this.#list),
    );
  }

  draw() {
    const { tables, activity, loaded } = this.#catalog;
    setText(this.#name, this.#client.database?.split("/").at(-1) ?? "Tablecast");
    let rows = 0;
    let views = 0;
    for (const table of tables.values()) {
      rows += table.rows ?? 0;
      if (table.kind === "view") views += 1;
    }
    show(this.#none, loaded && tables.size === 0);
    setText(this.#figures.tables, count(tables.size - views));
    setText(this.#figures.views, count(views));
    show(this.#figures.views.parentElement, views > 0);
    setText(this.#figures.rows, compact(rows));
    setText(this.#figures.changes, compact(activity.total));
    const rate = activity.rate();
    setText(this.#figures.rate, rate === 0 ? "0" : rate < 10 ? rate.toFixed(1) : count(Math.round(rate)));
    this.#sparkline.draw();
    this.#drawLatest();
  }

  #drawLatest = atMostEvery(LATEST_REDRAW_MS, () => {
    const { latest } = this.#catalog;
    if (latest[0] === this.#newest) return;
    const known = latest.indexOf(this.#newest);
    const fresh = (known < 0 ? latest : latest.slice(0, known)).slice(0, LATEST_SHOWN).map(latestLine);
    this.#list.toggleAttribute("data-busy", fresh.length > 3); // so many at once come without a movement of their own
    if (known < 0) this.#list.replaceChildren(...fresh);
    else this.#list.prepend(...fresh);
    while (this.#list.childElementCount > LATEST_SHOWN) this.#list.lastElementChild.remove();
    this.#newest = latest[0];
    this.#quiet.hidden = latest.length > 0;
  });
}

function latestLine({ at, who, type, data }) {
  const [kind, text] = summary(type, data);
  return el(
    `li.${kind}`,
    el("time", time(at)),
    el("span", el("b", who), ` ${text} `, el("a", { href: `#/tables/${encodeURIComponent(data.tableName)}/rows` }, el("bdi", displayName(data.tableName)))),
  );
}

/** A message of the tables channel, as a class and a phrase. */
export function summary(type, data) {
  if (type === "table:created") return ["schema", `created ${data.objectType === "table" ? "table" : data.objectType}`];
  if (type === "table:dropped") return ["schema", `dropped ${data.objectType === "table" ? "table" : data.objectType}`];
  if (data.previousName !== undefined) return ["schema", `renamed ${displayName(data.previousName)} to`];
  if (data.change === "schema") return ["schema", "changed the schema of"];
  const { inserted = 0, updated = 0, deleted = 0 } = data;
  const kind = deleted ? "delete" : inserted ? "insert" : "update";
  const place = inserted && !updated && !deleted ? "into" : deleted && !inserted && !updated ? "from" : "in";
  return [kind, `${changeCounts(data) || "changed rows"} ${place}`];
}
