// Running SQL: editor, parameters, progress, results; beside them what was run before, and what others run now.

import { el, icon, setText, show } from "./dom.js";
import { Completion } from "./completion.js";
import { LiveResults } from "./live-results.js";
import { Drafts } from "./drafts.js";
import { count, duration, identifier, plural } from "./format.js";
import { schedule } from "./frame.js";
import { ownQueryId } from "./paged-rows.js";
import { ParameterFields } from "./parameters.js";
import { QueryCards } from "./query-cards.js";
import { planTree } from "./query-plan.js";
import { Results } from "./results.js";
import { characterAt, highlighted } from "./sql.js";
import { onRemembered, recall, remember } from "./storage.js";

const HISTORY = 100;
/** Until a table has rows. */
const FIRST_DRAFT = "SELECT name, type FROM sqlite_schema ORDER BY name;";

/** Codes of a transaction that ended without a request of its client. All requests then fail until the client acknowledges it. */
const TRANSACTION_ENDS = new Set(["TRANSACTION_TIMED_OUT", "TRANSACTION_ROLLED_BACK", "DATABASE_GONE"]);

export class QueriesView {
  #app;
  #running;
  #isInTransaction = false;
  #history = recall("history", []);
  #historyList = el("ul.history", { "aria-label": "History" });
  #drafts;
  #editor;
  #parameters = new ParameterFields();
  #results = new Results();
  #liveResults;
  #followed = 0;
  #isLive = el("input", { type: "checkbox", onchange: () => this.#liveChosen() });
  #examples = el("ul.examples", { "aria-label": "Example queries" });
  #start = el("section.start", el("p.quiet", "Results appear here as rows are found, up to a million rows."), this.#examples);
  #cards;
  #run = el("button.primary", { type: "button", onclick: () => this.run() }, icon("run"), "Run");
  #explain = el("button", { type: "button", title: "Show the query plan of SQLite without running the query", onclick: () => this.explain() }, "Explain");
  #share = el("button.icon-button", { type: "button", title: "Copy a link to this query", "aria-label": "Copy a link to this query", onclick: () => this.#copyLink() }, icon("follow"));
  #completion;
  #cancel = el("button", { type: "button", hidden: true, onclick: () => this.cancel() }, icon("stop"), "Cancel");
  #bar = el("progress", { max: "100", "aria-label": "Progress of the query", hidden: true });
  #barText = el("span.quiet.bar-text");

  constructor(root, app) {
    this.#app = app;
    this.#cards = new QueryCards(app);
    this.#liveResults = new LiveResults(app.client);
    this.#drafts = new Drafts(app, { oninput: () => this.#edited(), ontake: (text, name) => this.#takeOver(text, name) });
    this.#editor = this.#drafts.editor;
    this.#completion = new Completion(this.#editor.input, app.client, {
      tables: () => [...app.catalog.tables.keys()],
      place: (index) => this.#editor.below(index),
      insert: (text) => this.#editor.insert(text),
    });
    this.#editor.onkey = (event) => this.#completion.keyPressed(event);
    const modifier = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
    root.append(
      el(
        "div.queries-view",
        el(
          "div.workbench",
          el("h1.visually-hidden", "Queries"),
          this.#drafts.element,
          this.#parameters.element,
          el("div.toolbar", this.#run, el("label.check", { title: "Follows the result: it changes in place with every commit, whichever process makes it" }, this.#isLive, "Live"), this.#explain, this.#share, this.#cancel, this.#bar, this.#barText, el("span.hint", { id: "editor-hint" }, el("kbd", modifier), el("kbd", "Enter"), " runs")),
          this.#start,
          this.#results.element,
          this.#liveResults.element,
          this.#completion.element,
        ),
        el("aside.side", el("section", el("h2", "Everyone’s queries"), this.#cards.element), el("section", el("h2", "History"), this.#historyList)),
      ),
    );
    this.#editor.text = recall("draft", FIRST_DRAFT);
    this.#parameters.match(this.#editor.text);
    this.#drawHistory();
    app.client.on("error", (error) => this.#showError(error));
    onRemembered("history", () => {
      this.#history = recall("history", []);
      this.#drawHistory();
    });
  }

  /** @param userId whose text is read along; without, one's own is written */
  show([userId], query) {
    this.#drafts.follow(userId);
    const shared = query?.get("q");
    if (shared && shared !== this.#editor.text) {
      this.#takeOver(shared, undefined);
      this.#isLive.checked = query.has("live");
      history.replaceState(null, "", "#/queries");
    }
    this.#run.disabled = this.isRunning || this.#drafts.isFollowing;
    this.tablesChanged();
  }

  /** Offers something to begin with, of the tables that there are. */
  tablesChanged() {
    this.#completion.forget();
    const largest = [...this.#app.catalog.tables.values()].filter(({ kind, rows }) => kind === "table" && rows > 0).sort((one, other) => other.rows - one.rows);
    const examples = largest.slice(0, 3).map(({ name }) => `SELECT * FROM ${identifier(name)} LIMIT 1000;`);
    if (largest.length > 0) examples.push(`SELECT count(*) FROM ${identifier(largest[0].name)};`);
    // Of a table, so that it can be live; never behind a selection, whose owner is about to write in its place.
    if (this.#editor.text === FIRST_DRAFT && this.#editor.isCaretAtEnd && examples.length > 0) this.#editor.text = examples[0];
    this.#examples.replaceChildren(...examples.map((sql) => el("li", el("button.example", { type: "button", title: "Insert into the editor", onclick: () => this.#take(sql) }, el("code", highlighted(sql))))));
  }

  hide() {
    this.#completion.close();
  }

  async explain() {
    if (this.#running || this.#drafts.isFollowing) return;
    const { chosen } = this.#editor;
    if (chosen.sql.trim() === "") return;
    this.#editor.markError(undefined);
    this.#begin();
    const prefix = "EXPLAIN QUERY PLAN ";
    try {
      const params = this.#parameters.valuesFor(this.#editor.text, chosen);
      const rows = await this.#app.client.query(prefix + chosen.sql, { params, rowFormat: "arrays", queryId: ownQueryId() });
      this.#results.plan(planTree(rows));
    } catch (error) {
      if (error.sqlOffset !== undefined) error.sqlOffset -= prefix.length;
      this.#failed(error, chosen.sql, chosen.start);
    }
  }

  #copyLink() {
    const link = `${location.origin}${location.pathname}#/queries?${new URLSearchParams({ q: this.#editor.text, ...(this.#isLive.checked && { live: "" }) })}`;
    navigator.clipboard?.writeText(link);
    this.#app.say(navigator.clipboard ? "A link to this query was copied." : link);
  }

  get isRunning() {
    return this.#running !== undefined;
  }

  cancel() {
    this.#running?.cancel();
  }

  async run() {
    if (this.#running || this.#drafts.isFollowing) return;
    const { chosen } = this.#editor;
    const { sql, start } = chosen;
    if (sql.trim() === "") return;
    this.#editor.markError(undefined);
    if (this.#isLive.checked) return this.#follow(sql, start, chosen);
    this.#begin();
    const startedAt = Date.now();
    try {
      const query = this.#app.client.query(sql, { params: this.#parameters.valuesFor(this.#editor.text, chosen), progressInterval: 100 });
      this.#setRunning(query);
      query.on("progress", (progress) => {
        this.#progress = progress;
        schedule(this.#drawProgress);
      });
      for await (const batch of query.batches()) {
        this.#results.add(batch);
        if (this.#results.isFull) break; // which cancels the query
      }
      if (this.#results.isFull) {
        this.#results.full();
        return this.#keep({ sql, at: startedAt, outcome: "stopped: too large for the page" });
      }
      const result = await query.result;
      this.#isInTransaction = result.inTransaction === true;
      this.#results.complete(result);
      this.#keep({ sql, at: startedAt, outcome: `${outcomeOf(result)}, ${duration(result.duration)}` });
    } catch (error) {
      this.#failed(error, sql, start);
      this.#isInTransaction = error.inTransaction === true;
      // The page's own reading may have been on its way behind a BEGIN that came too late.
      const mayBeOver = TRANSACTION_ENDS.has(error.code) || error.code === "BUSY";
      if (error.inTransaction === false || (mayBeOver && !this.#isInTransaction)) this.#acknowledge();
      this.#keep({ sql, at: startedAt, outcome: error.code === "CANCELLED" ? "cancelled" : "error", failed: true });
    } finally {
      this.#setRunning(undefined);
    }
  }

  /** In place of what was shown. */
  #begin() {
    this.#followed += 1;
    this.#liveResults.hide();
    show(this.#start, false);
    this.#results.start(this.#app.client.state === "open");
  }

  #liveChosen() {
    if (!this.#isLive.checked) this.#liveResults.stop();
    else if (this.#drafts.isFollowing) this.#isLive.checked = false; // what others write is read, not run
    else this.run();
  }

  async #follow(sql, start, chosen) {
    const number = (this.#followed += 1); // what is followed after this ends it
    show(this.#start, false);
    this.#results.hide();
    const at = Date.now();
    try {
      const params = this.#parameters.valuesFor(this.#editor.text, chosen);
      const rows = await this.#liveResults.follow(sql, params, { onend: () => (this.#isLive.checked = false) });
      this.#keep({ sql, at, outcome: `live, ${plural(rows, "row")}` });
    } catch (error) {
      if (number !== this.#followed || error.code === "CLOSED") return;
      this.#begin();
      if (error.code !== "SQL_ERROR") this.#isLive.checked = false; // else it may be mended
      this.#failed(error, sql, start);
      this.#keep({ sql, at, outcome: "error", failed: true });
    }
  }

  /** Nothing that is on its way can have been meant for the transaction: what comes next comes from who has read this. */
  #showError(error) {
    if (!this.#isInTransaction || this.#running || !TRANSACTION_ENDS.has(error.code)) return;
    this.#results.fail(error.message);
    this.#acknowledge();
  }

  #acknowledge() {
    this.#isInTransaction = false;
    this.#app.client.query("ROLLBACK", { queryId: ownQueryId() }).result.catch(() => {}); // it fails as well, as the last one
  }

  #failed(error, sql, start) {
    if (error.code === "CANCELLED") {
      const rows = error.rowCount > 0 ? ` after ${plural(error.rowCount, "row")}` : "";
      const took = error.duration === undefined ? "" : ` · ${duration(error.duration)}`;
      return this.#results.fail(`${error.reason === "timeout" ? "Stopped by the time limit" : "Cancelled"}${rows}${took}`, "cancelled");
    }
    if (error.sqlOffset === undefined || error.sqlOffset < 0) return this.#results.fail(error.message);
    const index = start + characterAt(sql, error.sqlOffset);
    const { line, column } = this.#editor.place(index);
    this.#editor.markError(index);
    const message = error.message.replace(/ \(at byte \d+[^)]*\)$/, ""); // the place is said in the editor's terms
    this.#results.fail(`${message} — line ${line + 1}, column ${column + 1}`);
  }

  #setRunning(query) {
    const isFocused = [this.#run, this.#cancel].includes(document.activeElement);
    this.#running = query;
    this.#progress = undefined;
    show(this.#cancel, query !== undefined);
    this.#run.disabled = query !== undefined || this.#drafts.isFollowing;
    if (isFocused) (query ? this.#cancel : this.#run).focus(); // one goes as the other comes, the focus with it
    show(this.#bar, query !== undefined);
    this.#bar.removeAttribute("value");
    setText(this.#barText, "");
  }

  #progress;

  #drawProgress = () => {
    if (!this.#progress || !this.#running) return;
    const { progress, rowCount, elapsed } = this.#progress;
    if (progress === undefined) this.#bar.removeAttribute("value");
    else this.#bar.value = progress;
    const share = progress === undefined ? "" : `${Math.round(progress)} % · `;
    setText(this.#barText, `${share}${plural(rowCount, "row")} · ${duration(elapsed)}`);
    this.#results.progress(this.#progress);
  };

  #edited() {
    remember("draft", this.#editor.text);
    this.#completion.update();
    this.#parameters.match(this.#editor.text);
  }

  /** Another tab may have kept something meanwhile. */
  #keep(entry) {
    this.#history = [entry, ...recall("history", []).filter(({ sql }) => sql !== entry.sql)].slice(0, HISTORY);
    remember("history", this.#history);
    this.#drawHistory();
  }

  #drawHistory() {
    const item = ({ sql, outcome, failed }) =>
      el(
        "li",
        el(
          "button.past",
          { type: "button", title: "Insert into the editor", onclick: () => this.#take(sql) },
          el("code", sql.trim().replace(/\s+/g, " ").slice(0, 160)),
          el(failed ? "span.failed" : "span.quiet", outcome),
        ),
      );
    const clear = el("button.link", { type: "button", onclick: () => this.#clear() }, "Clear history");
    this.#historyList.replaceChildren(
      ...(this.#history.length > 0 ? [...this.#history.slice(0, 40).map(item), el("li", clear)] : [el("li.quiet", `The last ${count(HISTORY)} queries are kept in this browser.`)]),
    );
  }

  #take(sql) {
    if (this.#drafts.isFollowing) location.hash = "#/queries";
    this.#editor.replace(sql);
  }

  /** Copies another user's text into the editor; the previous text stays in the history. */
  #takeOver(sql, name) {
    const own = this.#editor.text;
    if (own.trim() !== "" && own !== sql) this.#keep({ sql: own, at: Date.now(), outcome: `replaced by a copy of ${name ?? "another user"}’s` });
    this.#take(sql);
  }

  #clear() {
    this.#history = [];
    remember("history", []);
    this.#drawHistory();
  }
}

/** What a query did: rows that it gave, or rows that it changed. */
const outcomeOf = ({ rowCount, changes }) => (changes > 0 ? `${plural(changes, "row")} changed` : plural(rowCount, "row"));
