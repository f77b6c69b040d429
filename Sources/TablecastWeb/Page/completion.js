// What may follow where the cursor is: keywords, tables, and the columns of the tables that the text names.

import { el, show } from "./dom.js";
import { identifier } from "./format.js";
import { describeTable } from "./service.js";
import { keywords, tokens } from "./sql.js";

const MOST_SHOWN = 8;
const WORD = /[\p{L}\d_$]*$/u;
const QUALIFIED = /(?:([\p{L}_][\p{L}\d_$]*)|"((?:[^"]|"")*)")\s*\.\s*([\p{L}\d_$]*)$/u;
const TABLE_PLACES = /\b(from|join|into|update|table|references)\s+[\p{L}\d_$]*$/iu;

/** Candidates at the end of a text, best first, as `{ text, kind }`; `word` is what they would replace. */
export function completions(before, whole, tables, columnsOf) {
  const last = [...tokens(before)].at(-1);
  const isInside = last && (last.kind === "comment" || last.kind === "string") && last.index + last.text.length === before.length && !isClosed(last.text);
  if (isInside) return { word: "", found: [] };
  const [, plain, quotedName, part] = QUALIFIED.exec(before) ?? [];
  const qualifier = plain ?? quotedName?.replaceAll('""', '"');
  const named = tables.filter((name) => new RegExp(`(^|[^\\p{L}\\d_$])${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}($|[^\\p{L}\\d_$])`, "iu").test(whole));
  if (qualifier !== undefined) {
    const table = tables.find((name) => name.toLowerCase() === qualifier.toLowerCase()) ?? aliased(whole, qualifier, tables);
    return { word: part, found: table === undefined ? [] : matching(part, columnsOf(table).map((text) => ({ text, kind: "column" }))) };
  }
  const word = WORD.exec(before)[0];
  const columns = [...new Set(named.flatMap(columnsOf))].map((text) => ({ text, kind: "column" }));
  const all = tables.map((text) => ({ text, kind: "table" }));
  const isForTable = TABLE_PLACES.test(before);
  const words = keywords.map((text) => ({ text: text.toUpperCase(), kind: "keyword" }));
  return { word, found: matching(word, isForTable ? all : [...columns, ...words, ...all]) };
}

const isClosed = (text) => (text.startsWith("--") ? false : text.startsWith("/*") ? text.endsWith("*/") && text.length > 3 : /^x?'(?:[^']|'')*'$/i.test(text));

/** The table that a text calls by another name. */
function aliased(text, alias, tables) {
  const [, plain, quotedName] = new RegExp(`(?:([\\p{L}_][\\p{L}\\d_$]*)|"((?:[^"]|"")*)")\\s+(?:as\\s+)?${alias}\\b`, "iu").exec(text) ?? [];
  const name = plain ?? quotedName?.replaceAll('""', '"');
  return tables.find((each) => each.toLowerCase() === name?.toLowerCase());
}

/** Those that begin so come before those that hold it. */
function matching(word, candidates) {
  const wanted = word.toLowerCase();
  const starts = candidates.filter(({ text }) => text.toLowerCase().startsWith(wanted) && text.toLowerCase() !== wanted);
  const holds = wanted.length < 2 ? [] : candidates.filter(({ text, kind }) => kind !== "keyword" && text.toLowerCase().includes(wanted, 1) && !text.toLowerCase().startsWith(wanted));
  return [...starts, ...holds].slice(0, MOST_SHOWN);
}

/** The list below the cursor of a textarea. */
export class Completion {
  #input;
  #place;
  #insert;
  #tables;
  #columns = new Map();
  #client;
  #found = [];
  #word = "";
  #active = 0;
  #isAsked = false;
  element = el("ul.completion", { id: "completion", role: "listbox", "aria-label": "Completions", hidden: true });

  /** @param hooks `{ tables(), place(index), insert(text) }`: `place` gives pixels from the editor's corner */
  constructor(input, client, { tables, place, insert }) {
    this.#input = input;
    this.#client = client;
    this.#tables = tables;
    this.#place = place;
    this.#insert = insert;
    input.setAttribute("aria-controls", "completion");
    input.setAttribute("aria-autocomplete", "list");
    input.addEventListener("blur", () => this.close());
    input.addEventListener("scroll", () => this.close());
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** A schema may have changed. */
  forget() {
    this.#columns.clear();
  }

  /** After something was typed, or by Ctrl Space, which asks even where nothing is typed yet. */
  update(isAsked = false) {
    const { selectionStart, selectionEnd, value, readOnly } = this.#input;
    if (readOnly || selectionStart !== selectionEnd) return this.close();
    this.#isAsked = isAsked;
    const { word, found } = completions(value.slice(0, selectionStart), value, this.#tables(), (name) => this.#columnsOf(name));
    if (found.length === 0 || (!isAsked && word === "" && value[selectionStart - 1] !== ".")) return this.close();
    this.#word = word;
    this.#found = found;
    this.#active = 0;
    this.#draw();
  }

  close() {
    show(this.element, false);
    this.#input.removeAttribute("aria-activedescendant");
  }

  /** Whether a key was meant for the list. */
  keyPressed(event) {
    if (event.key === " " && event.ctrlKey) {
      this.update(true);
      return true;
    }
    if (!this.isOpen || event.ctrlKey || event.metaKey || event.altKey) return false;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) {
      this.#active = (this.#active + by + this.#found.length) % this.#found.length;
      this.#draw();
      return true;
    }
    if (event.key === "Escape") {
      this.close();
      return true;
    }
    if (event.key !== "Tab" && event.key !== "Enter") return false;
    this.#take(this.#found[this.#active]);
    return true;
  }

  #take({ text, kind }) {
    this.close();
    const { selectionStart } = this.#input;
    this.#input.setSelectionRange(selectionStart - this.#word.length, selectionStart);
    this.#insert(kind === "keyword" ? text : identifier(text));
    this.close(); // what was inserted is no question
  }

  /** Known at once after the first time; until then what is known. */
  #columnsOf(name) {
    const known = this.#columns.get(name);
    if (known) return known;
    this.#columns.set(name, []);
    describeTable(name, this.#client)
      .then(({ columns }) => {
        this.#columns.set(name, columns.filter(({ hidden }) => !hidden).map((column) => column.name));
        if (document.activeElement === this.#input && (this.isOpen || this.#input.value[this.#input.selectionStart - 1] === ".")) this.update(this.#isAsked);
      })
      .catch(() => this.#columns.delete(name)); // it is asked for again by the next word
    return [];
  }

  #draw() {
    const options = this.#found.map(({ text, kind }, index) =>
      el("li", { id: `completion-${index}`, role: "option", "aria-selected": String(index === this.#active), onpointerdown: (event) => (event.preventDefault(), this.#take(this.#found[index])) }, el("bdi", text), el("span.quiet", kind)),
    );
    this.element.replaceChildren(...options);
    const { left, top } = this.#place(this.#input.selectionStart - this.#word.length);
    this.element.style.left = `${left}px`;
    this.element.style.top = `${top}px`;
    this.#input.setAttribute("aria-activedescendant", `completion-${this.#active}`);
    show(this.element, true);
  }
}
