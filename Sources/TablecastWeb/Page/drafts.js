// The text in the editor: the user's own, or a live, read-only view of another user's text.

import { el, icon, setText, show } from "./dom.js";
import { Editor } from "./editor.js";
import { schedule } from "./frame.js";
import { avatar } from "./people.js";
import { recall, remember } from "./storage.js";

const OWN = "#/queries";
const hrefOf = (userId) => `${OWN}/${encodeURIComponent(userId)}`;

export class Drafts {
  #app;
  #followed;
  #last;
  #links = new Map();
  #texts = new Map();
  #own = el("a.draft", { href: OWN }, icon("pen"), "Yours");
  #bar = el("nav.drafts", { "aria-label": "Whose query" });
  #sharing = el("input", { type: "checkbox", onchange: () => this.#shareChanged() });
  #note = el("span");
  #take;

  /** @param hooks `{ oninput(), ontake(text, name) }` */
  constructor(app, { oninput, ontake }) {
    this.#app = app;
    this.#sharing.checked = recall("shares", true);
    this.editor = new Editor({ id: "sql", label: "SQL", oninput: () => (oninput(), schedule(this.#draw)), onmove: (cursor) => this.#ownCursorMoved(cursor) });
    this.reader = new Editor({ id: "others-sql", label: "SQL of another user", onmove: (cursor) => app.presence.moveCursor({ ...cursor, textOf: this.#followed }) });
    this.#take = el("button.small", { type: "button", onclick: () => ontake(this.reader.text, this.#last?.username) }, "Copy to my editor");
    this.#following = el("p.following", { role: "status", hidden: true }, this.#note, this.#take);
    const share = el("label.check", { title: "Other users see your text as you type" }, this.#sharing, "Share my text");
    this.element = el("div.documents", el("header", this.#bar, share), this.editor.element, this.reader.element, this.#following);
    show(this.reader.element, false);
    app.presence.on("change", () => schedule(this.#draw));
    this.#draw();
  }

  #following;

  /** Shows another user's text, or one's own. */
  follow(userId) {
    const isOwn = userId === undefined || userId === this.#app.client.userId;
    this.#followed = isOwn ? undefined : userId;
    this.#last = undefined;
    this.reader.text = "";
    show(this.editor.element, isOwn);
    show(this.reader.element, !isOwn);
    show(this.#following, !isOwn);
    this.#draw();
    const shown = isOwn ? this.editor : this.reader;
    if (!matchMedia("(pointer: coarse)").matches) shown.input.focus({ preventScroll: true }); // it would call up a phone's keyboard
    shown.announce();
  }

  get isFollowing() {
    return this.#followed !== undefined;
  }

  #ownCursorMoved(cursor) {
    const text = this.#sharing.checked ? this.editor.sharedText : undefined;
    this.#app.presence.moveCursor(text === undefined ? { ...cursor, textOf: this.#app.client.userId } : { ...cursor, text });
  }

  #shareChanged() {
    remember("shares", this.#sharing.checked);
    this.editor.announce();
  }

  #draw = () => {
    const { presence, client } = this.#app;
    const others = [...presence.people.values()].filter(({ userId }) => userId !== client.userId);
    this.#drawLinks(others.filter(({ userId, text }) => text !== undefined || userId === this.#followed));
    const cursors = others.filter(({ cursor }) => cursor?.position);
    const { text } = this.editor;
    // A user without a reported text, or with the same one, is shown in it too.
    this.editor.showPeople(cursors.filter(({ cursor: { textOf, text: theirs = text } }) => (textOf === undefined ? theirs === text : textOf === client.userId)));
    if (this.isFollowing) this.#drawReader(presence.people.get(this.#followed), cursors);
  };

  #drawLinks(people) {
    const wanted = new Set(people.map(({ userId }) => userId));
    for (const [userId, link] of this.#links) {
      if (wanted.has(userId)) continue;
      link.remove();
      this.#links.delete(userId);
      this.#texts.delete(userId);
    }
    for (const person of people) {
      const { userId, username, text } = person;
      let link = this.#links.get(userId);
      if (!link) this.#links.set(userId, (link = el("a.draft", { href: hrefOf(userId) })));
      if (link.dataset.username !== username) {
        link.dataset.username = username;
        link.replaceChildren(avatar(person), el("bdi", username || "anonymous"));
      }
      if (this.#texts.has(userId) && this.#texts.get(userId) !== text) link.className = link.className === "draft writing" ? "draft writing flip" : "draft writing";
      this.#texts.set(userId, text);
    }
    const all = [this.#own, ...this.#links.values()];
    all.forEach((link, place) => {
      if (this.#bar.children[place] !== link) this.#bar.insertBefore(link, this.#bar.children[place] ?? null);
      const isShown = link === (this.#links.get(this.#followed) ?? this.#own);
      if (isShown) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
  }

  #drawReader(person, cursors) {
    const name = person?.username || this.#last?.username || "A user";
    if (person) this.#last = person;
    show(this.#take, this.reader.text !== "");
    if (!person) return setText(this.#note, this.#last ? `${name} has left. This is the last version of the text.` : "No user with this name is connected.");
    if (person.text === undefined) return setText(this.#note, `${name} does not share a text, or has not written one.`);
    if (this.reader.text !== person.text) this.reader.text = person.text;
    show(this.#take, person.text !== "");
    setText(this.#note, `You see the text of ${name}.`);
    const here = cursors.filter(({ userId, cursor }) => (cursor.textOf ?? userId) === this.#followed);
    this.reader.showPeople(here);
    const owner = here.find(({ userId }) => userId === this.#followed);
    if (owner && owner.cursor !== this.#revealed) this.reader.reveal((this.#revealed = owner.cursor).position.line);
  }

  #revealed;
}
