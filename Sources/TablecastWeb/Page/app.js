// The page: one connection, four views, one route at a time.

import { connect } from "/tablecast.js";
import { Catalog } from "./catalog.js";
import { ConnectionView } from "./connection-view.js";
import { setText, show } from "./dom.js";
import { Edits } from "./edits.js";
import { Feed } from "./feed.js";
import { FeedView } from "./feed-view.js";
import { displayName } from "./format.js";
import { schedule } from "./frame.js";
import { parseLocation } from "./location.js";
import { isOwnQueryId } from "./paged-rows.js";
import { ownName, PeopleView } from "./people.js";
import { QueriesView } from "./queries-view.js";
import { QueryLog } from "./query-log.js";
import { accessToken } from "./service.js";
import { installShortcuts, showHelp } from "./shortcuts.js";
import { recall, remember } from "./storage.js";
import { TablesView } from "./tables-view.js";
import { askForToken } from "./token-dialog.js";

/** What the feed leaves out, because it says nothing of the database. */
const UNLISTED = new Set(["heartbeat", "query:rows", "query:reached", "transaction:end"]);

const byId = (id) => document.getElementById(id);

const client = connect("/ws", { username: ownName(), accessToken });
const tables = client.subscribe("tables", { rows: "none" });
const queryLog = client.subscribe("queries");

const app = {
  client,
  presence: client.presence,
  catalog: new Catalog(client),
  queries: new QueryLog(),
  feed: new Feed(),
  edits: new Edits(client),
  /** A word at the bottom of the window, for a while. */
  say: (message, kind) => connection.say(message, kind),
  /** Changes are received from here on: data that is read before can change unnoticed. */
  heard: tables.ready,
  setRowLevel: (rows) => tables.update({ rows }),
};

const views = {
  tables: new TablesView(byId("view-tables"), app),
  queries: new QueriesView(byId("view-queries"), app),
  feed: new FeedView(byId("view-feed"), app),
  people: new PeopleView(byId("view-people"), app, byId("initials")),
};

const connection = new ConnectionView({ pill: byId("connection"), banner: byId("banner"), toasts: byId("toasts"), client, subscription: tables });

// What arrives

tables.on("message", (message) => {
  app.catalog.receive(message);
  views.tables.receive(message);
  if (message.data?.transaction) app.feed.receive(message);
});
tables.on("live", ({ resumed, recovered }) => {
  if (!resumed || recovered === false) loadCatalog();
  if (recovered === false) views.tables.reload();
  else if (resumed) views.tables.resume();
});
queryLog.on("message", (message) => app.queries.receive(message));
client.on("message", (message) => {
  const { type, data } = message;
  if (data?.transaction) return; // handed over by its subscription, which takes each transaction once
  const isOwnReading = isOwnQueryId(data?.queryId); // a query of the page itself, not of the user
  const isOfOtherSubscription = data?.subscription !== undefined && data.subscription !== tables.id; // that of an open table or a live query
  if (!UNLISTED.has(type) && !isOwnReading && !isOfOtherSubscription) app.feed.receive(message);
});
client.on("state", (state) => {
  if (state === "waiting") app.queries.lost();
  if (state === "open") schedule(drawDatabase);
  if (state === "closed" && client.lastClose?.code === 4401) askForToken(client.lastClose.reason);
});

async function loadCatalog() {
  try {
    await app.catalog.load();
    views.tables.loaded();
    views.feed.tablesChanged();
    views.queries.tablesChanged();
  } catch (error) {
    connection.say(error.message, "error");
  }
}

function drawDatabase() {
  setText(byId("database"), databaseName());
  drawTitle();
}

const databaseName = () => client.database?.split("/").at(-1) ?? "";

function drawTitle() {
  const { view, parameters: [name] } = parseLocation(location.hash);
  const place = view === "tables" ? (name === undefined ? "" : displayName(name)) : { queries: "Queries", feed: "Feed", people: "People" }[view];
  document.title = [place, databaseName(), "Tablecast"].filter(Boolean).join(" · ");
}

// Where we are

let current;

function route() {
  const { view: name, parameters, query } = parseLocation(location.hash);
  const view = Object.hasOwn(views, name) ? name : "tables";
  if (current !== view) {
    views[current]?.hide?.();
    for (const each of Object.keys(views)) show(byId(`view-${each}`), each === view);
    for (const link of document.querySelectorAll("nav.main a")) {
      if (link.getAttribute("href") === `#/${view}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    current = view;
  }
  document.body.dataset.view = view;
  views[view].show(parameters, query);
  drawTitle();
}

addEventListener("hashchange", route);
route();

// What the keyboard does

const themes = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  remember("theme", theme);
  byId("theme").title = `Theme: ${theme === "auto" ? "system default" : theme}`;
}

setTheme(recall("theme", "auto"));
const nextTheme = () => setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]);
byId("theme").addEventListener("click", nextTheme);
byId("help").addEventListener("click", showHelp);
byId("skip").addEventListener("click", () => byId("main").focus());

installShortcuts({
  find() {
    if (current !== "tables" || !views.tables.isListShown) {
      location.hash = "#/tables";
      route(); // now: the event comes after the next keys
    }
    views.tables.focusSearch();
  },
  step(by) {
    if (current !== "tables") return false;
    const names = [...app.catalog.tables.keys()];
    const [open] = parseLocation(location.hash).parameters;
    const place = open === undefined ? (by > 0 ? -1 : 0) : names.indexOf(open);
    const name = names[(place + by + names.length) % names.length];
    if (name !== undefined) location.hash = `#/tables/${encodeURIComponent(name)}/rows`;
  },
  toggleTab() {
    if (current !== "tables" || !views.tables.isTableOpen) return false;
    views.tables.toggleTab();
  },
  run() {
    if (current !== "queries") return false;
    views.queries.run();
  },
  escape(event) {
    if (current === "queries" && views.queries.isRunning) views.queries.cancel();
    else if (event.target.matches("input, textarea")) event.target.blur();
  },
  pause() {
    if (current !== "feed") return false;
    views.feed.togglePause();
  },
  theme: nextTheme,
});

