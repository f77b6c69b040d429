// Presence: initials of the users in the header, and a list with the place of each.

import { el, icon, setText, show } from "./dom.js";
import { displayName, plural, time } from "./format.js";
import { schedule } from "./frame.js";
import { recall, remember } from "./storage.js";

const TONES = 8;
const SHOWN_INITIALS = 4;
const MOODS = ["Amber", "Brisk", "Calm", "Deft", "Early", "Fond", "Keen", "Lucid", "Merry", "Quiet", "Sunny", "Swift"];
const BIRDS = ["Avocet", "Curlew", "Dunlin", "Finch", "Heron", "Ibis", "Kestrel", "Lark", "Plover", "Robin", "Swallow", "Wren"];

/** One of eight colours, always the same for the same person. */
export function tone(userId) {
  let hash = 0;
  for (const character of String(userId)) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return hash % TONES;
}

/** The name kept in this browser, or a friendly one made up now. */
export function ownName() {
  const kept = recall("name", undefined);
  if (typeof kept === "string" && kept.trim() !== "") return kept;
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const name = `${pick(MOODS)} ${pick(BIRDS)}`;
  remember("name", name);
  return name;
}

/** What connects without a name is called anonymous by the server. */
export const isNamed = ({ username }) => Boolean(username) && username !== "anonymous";

export function avatar({ userId, username }) {
  const initials = [...(username || "?").trim()].filter((letter, index, all) => index === 0 || all[index - 1] === " ").slice(0, 2).join("");
  return el("span.avatar", { "data-tone": tone(userId), "aria-hidden": "true" }, initials.toUpperCase() || "?");
}

export class PeopleView {
  #app;
  #initials;
  #list = el("ul.people", { "aria-label": "People" });
  #count = el("span.quiet");
  #nameless = el("p.quiet.padded");
  #name = el("input", { type: "text", maxlength: "40", autocomplete: "off", spellcheck: "false", id: "own-name" });
  #saved = el("span.quiet", { role: "status" });

  /** @param initials the element in the header that shows who is here */
  constructor(root, app, initials) {
    this.#app = app;
    this.#initials = initials;
    this.#name.value = app.client.username ?? "";
    const form = el(
      "form.name-form",
      { onsubmit: (event) => this.#rename(event) },
      el("label", { for: "own-name" }, "Your name"),
      this.#name,
      el("button.primary", { type: "submit" }, "Save"),
      this.#saved,
    );
    root.append(el("article.people-view", el("header.title", el("h1", "People"), this.#count), form, this.#list, this.#nameless));
    app.presence.on("change", () => schedule(this.#draw));
    app.client.on("state", () => schedule(this.#draw));
  }

  show() {
    schedule(this.#draw);
  }

  #rename(event) {
    event.preventDefault();
    const name = this.#name.value.trim();
    if (name === "") return;
    remember("name", name);
    this.#app.client.identify(name);
    setText(this.#saved, "Saved. All users see this name.");
    schedule(this.#draw);
  }

  /** An unchanged line stays, because it can have the focus. */
  #drawList(people, line) {
    const known = new Map([...this.#list.children].map((element) => [element.dataset.userId, element]));
    const lines = people.map((person) => {
      const fresh = line(person);
      fresh.dataset.userId = person.userId;
      const old = known.get(person.userId);
      return old?.isEqualNode(fresh) ? old : fresh;
    });
    const kept = new Set(lines);
    const focused = document.activeElement?.closest("[data-user-id]")?.dataset.userId;
    for (const old of [...this.#list.children]) if (!kept.has(old)) old.remove();
    lines.forEach((each, place) => this.#list.children[place] !== each && this.#list.insertBefore(each, this.#list.children[place] ?? null));
    if (focused !== undefined && !this.#list.contains(document.activeElement)) lines.find(({ dataset }) => dataset.userId === focused)?.querySelector("a:last-of-type")?.focus();
  }

  #draw = () => {
    const { presence, client } = this.#app;
    const isSelf = ({ userId }) => userId === client.userId;
    const nameOf = (userId) => (userId === client.userId ? "you" : presence.people.get(userId)?.username || "another user");
    const everyone = [...presence.people.values()];
    const people = everyone.filter((person) => isSelf(person) || isNamed(person)).sort((one, other) => isSelf(other) - isSelf(one) || one.joinedAt - other.joinedAt);
    const nameless = everyone.length - people.length;
    const others = people.filter((person) => !isSelf(person));
    setText(this.#count, people.length > 0 ? `${plural(people.length, "person", "people")} connected` : "");
    setText(this.#nameless, nameless > 0 ? `And ${plural(nameless, "unnamed connection")}: open tables, listeners, scripts.` : "");
    this.#drawList(people, (person) => {
      const place = isSelf(person) ? el("span", "This tab") : whereabouts(person, nameOf);
      return el(
        "li",
        avatar(person),
        el("div", el("b", person.username || "anonymous"), isSelf(person) && el("span.tag", "you"), el("p.quiet", place)),
        el("time.quiet", { title: "joined" }, time(person.joinedAt)),
      );
    });
    this.#initials.replaceChildren(
      ...others.slice(0, SHOWN_INITIALS).map((person) => Object.assign(avatar(person), { title: person.username })),
      others.length > SHOWN_INITIALS ? el("span.quiet", `+${others.length - SHOWN_INITIALS}`) : "",
      el("span.quiet.all", `+${others.length}`), // instead of them, where the screen is narrow
    );
    this.#initials.setAttribute("aria-label", `${plural(others.length, "other person", "other people")} connected`);
    show(this.#initials, others.length > 0);
  };
}

function whereabouts({ userId, cursor, text }, nameOf) {
  if (cursor?.table !== undefined) {
    const link = el("a", { href: `#/tables/${encodeURIComponent(cursor.table)}/rows` }, el("bdi", displayName(cursor.table)));
    return [cursor.column === undefined ? "Last in " : "In ", link, cursor.column !== undefined && [", column ", el("bdi", displayName(cursor.column))]].flat(2).filter(Boolean).reduce((span, part) => (span.append(part), span), el("span"));
  }
  if (!cursor?.position) return "Listening";
  const { selection, position, textOf } = cursor;
  const selected = selection && (selection.start.line !== selection.end.line || selection.start.column !== selection.end.column);
  const place = `, line ${position.line + 1}`;
  if (textOf !== undefined && textOf !== userId) return el("span", "Viewing the text of ", el("bdi", nameOf(textOf)), place);
  const read = text !== undefined && [" · ", el("a", { href: `#/queries/${encodeURIComponent(userId)}` }, "view text")];
  return el("span", "In the ", el("a", { href: "#/queries" }, "query editor"), place, selected && ", with a selection", read);
}
