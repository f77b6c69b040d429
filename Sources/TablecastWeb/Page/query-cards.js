// What everyone runs: progress while it lasts, the outcome after; their owner can cancel.

import { el, setText, show } from "./dom.js";
import { duration, plural } from "./format.js";
import { schedule } from "./frame.js";
import { avatar } from "./people.js";

const SHOWN = 12;
const OUTCOMES = { complete: "done", error: "failed", cancelled: "cancelled", unknown: "outcome unknown" };

export class QueryCards {
  #app;
  #cards = new Map();
  #list = el("ul.query-cards", { "aria-label": "Everyone’s queries" });
  #empty = el("p.quiet", "Queries of all clients of the service appear here.");

  constructor(app) {
    this.#app = app;
    this.element = el("div", this.#empty, this.#list);
    app.queries.onchange = () => schedule(this.#draw);
  }

  #draw = () => {
    const all = [...this.#app.queries.queries.values()].reverse();
    const shown = [...all.filter(({ status }) => status === "running"), ...all.filter(({ status }) => status !== "running")].slice(0, SHOWN);
    const wanted = new Set(shown);
    for (const [query, card] of this.#cards) {
      if (wanted.has(query)) continue;
      card.element.remove();
      this.#cards.delete(query);
    }
    shown.forEach((query, place) => {
      let card = this.#cards.get(query);
      if (!card) this.#cards.set(query, (card = new QueryCard(query, this.#app.client)));
      if (this.#list.children[place] !== card.element) this.#list.insertBefore(card.element, this.#list.children[place] ?? null);
      card.draw();
    });
    show(this.#empty, shown.length === 0);
  };
}

class QueryCard {
  #query;
  #bar = el("progress", { max: "100", "aria-label": "Progress" });
  #figures = el("span.quiet");
  #cancel;

  constructor(query, client) {
    this.#query = query;
    const isOwn = query.userId === client.userId;
    this.#cancel = isOwn && el("button.small", { type: "button", onclick: () => cancelQuery(client, query.id) }, "Cancel");
    this.element = el(
      "li.query-card",
      el("p", avatar(query), el("b", isOwn ? "you" : query.username || "someone"), this.#figures, this.#cancel),
      el("code", { title: query.sql.slice(0, 2000) }, query.sql.trim().replace(/\s+/g, " ").slice(0, 200)),
      this.#bar,
    );
  }

  draw() {
    const { status, progress, rowCount, elapsed, changes } = this.#query;
    const isRunning = status === "running";
    this.element.dataset.status = status;
    show(this.#bar, isRunning);
    if (this.#cancel) show(this.#cancel, isRunning);
    if (progress === undefined) this.#bar.removeAttribute("value");
    else this.#bar.value = progress;
    const what = changes > 0 && rowCount === 0 ? plural(changes, "change") : plural(rowCount, "row");
    const share = isRunning && progress !== undefined ? `${Math.round(progress)} % · ` : "";
    setText(this.#figures, `${share}${what} · ${duration(elapsed)}${isRunning ? "" : ` · ${OUTCOMES[status]}`}`);
    this.element.title = this.#query.error ?? "";
  }
}

const cancelQuery = (client, id) => client.cancel(id);
