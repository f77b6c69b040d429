// The SQL editor: a textarea, and behind it the same text in colour; above it the cursors of the others.

import { el, show } from "./dom.js";
import { schedule } from "./frame.js";
import { tone } from "./people.js";
import { highlighted } from "./sql.js";

const LONGEST_SHARED_BYTES = 16_384; // the server refuses longer ones
const LINE_HEIGHT = 21;

export class Editor {
  #colours = el("pre.colours", { "aria-hidden": "true" });
  #cursors = el("div.cursors", { "aria-hidden": "true" });
  #error;
  #people = [];
  #carets = new Map();
  #onmove;

  /** @param hooks `{ oninput(), onmove(cursor) }`; without `oninput` the text is only read */
  constructor({ id, label, oninput, onmove }) {
    this.#onmove = onmove;
    this.input = el("textarea", {
      id,
      readonly: !oninput,
      rows: "8",
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      "aria-label": label,
      "aria-describedby": "editor-hint",
      placeholder: "SELECT …",
      oninput: () => {
        this.#error = undefined;
        this.#changed();
        oninput();
        this.announce(); // deleting forward moves no cursor
      },
      onscroll: () => this.#follow(),
      onkeydown: (event) => this.#keyPressed(event),
    });
    this.element = el("div.editor", this.#colours, this.input, this.#cursors);
    document.addEventListener("selectionchange", () => document.activeElement === this.input && this.announce());
    new ResizeObserver(() => this.#changed()).observe(this.input);
  }

  get text() {
    return this.input.value;
  }

  set text(text) {
    const { selectionStart, selectionEnd, readOnly } = this.input;
    this.input.value = text;
    if (readOnly) this.input.setSelectionRange(selectionStart, selectionEnd); // the reader's place, while somebody else writes
    this.#error = undefined;
    this.#changed();
  }

  /** What is selected, or everything. */
  get chosen() {
    const { selectionStart, selectionEnd, value } = this.input;
    return selectionStart === selectionEnd ? { sql: value, start: 0 } : { sql: value.slice(selectionStart, selectionEnd), start: selectionStart };
  }

  /** Underlines the word at a character, and puts the cursor there. */
  markError(index) {
    this.#error = index;
    if (index !== undefined) this.input.setSelectionRange(index, index);
    this.#changed();
  }

  /** Shows others' cursors: `{ userId, username, cursor }`. */
  showPeople(people) {
    this.#people = people;
    this.#changed();
  }

  /** Line and column, from 0, of a character. */
  place(index) {
    const before = this.text.slice(0, index);
    return { line: before.split("\n").length - 1, column: index - (before.lastIndexOf("\n") + 1) };
  }

  /** Tells where the cursor is, and in what text. */
  announce() {
    const { selectionStart, selectionEnd, selectionDirection } = this.input;
    const cursor = { position: this.place(selectionDirection === "backward" ? selectionStart : selectionEnd) };
    if (selectionStart !== selectionEnd) cursor.selection = { start: this.place(selectionStart), end: this.place(selectionEnd) };
    this.#onmove(cursor);
  }

  /** Brings a line into sight. */
  reveal(line) {
    const { scrollTop, clientHeight } = this.input;
    const top = line * LINE_HEIGHT;
    if (top < scrollTop) this.input.scrollTop = top;
    else if (top + 3 * LINE_HEIGHT > scrollTop + clientHeight) this.input.scrollTop = top + 3 * LINE_HEIGHT - clientHeight;
  }

  /** The text, where it is short enough to be shared. */
  get sharedText() {
    const { text } = this;
    return text.length <= LONGEST_SHARED_BYTES && new TextEncoder().encode(text).length <= LONGEST_SHARED_BYTES ? text : undefined;
  }

  /** Tab indents where the keyboard entered; Escape and then Tab leaves, so that nobody is trapped. */
  #keyPressed(event) {
    if (event.key === "Escape") this.#leaves = true;
    else if (event.key !== "Tab") this.#leaves = false;
    if (this.input.readOnly || event.key !== "Tab" || event.shiftKey || this.#leaves || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.input.setRangeText("  ", this.input.selectionStart, this.input.selectionEnd, "end");
    this.input.dispatchEvent(new Event("input"));
  }

  #leaves = false;

  #changed = () => schedule(this.#draw);

  #draw = () => {
    this.#colours.replaceChildren(highlighted(this.text, this.#error), "\n");
    this.#drawPeople();
    this.#follow();
  };

  #drawPeople() {
    const lines = this.text.split("\n");
    show(this.#cursors, this.#people.length > 0);
    const carets = new Map();
    const marks = this.#people.flatMap(({ userId, username, cursor }) => {
      const colour = tone(userId);
      const { position, selection } = cursor;
      // The flag fades: kept as it is until its owner moves.
      const caret = this.#carets.get(cursor) ?? el("span.caret", { "data-tone": colour }, el("span.flag", username));
      carets.set(cursor, caret);
      caret.style.top = `calc(${Math.min(position.line, lines.length - 1)} * var(--line-height))`;
      caret.style.left = `${Math.min(position.column, (lines[position.line] ?? lines.at(-1)).length)}ch`;
      return [...(selection ? selectionMarks(selection, lines, colour) : []), caret];
    });
    this.#carets = carets;
    const layer = this.#cursors.firstElementChild ?? this.#cursors.appendChild(el("div"));
    for (const old of [...layer.children]) if (!marks.includes(old)) old.remove();
    for (const mark of marks) if (mark.parentElement !== layer) layer.append(mark);
  }

  #follow() {
    const { scrollTop, scrollLeft } = this.input;
    this.#colours.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
    const marks = this.#cursors.firstElementChild;
    if (marks) marks.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
  }
}

function selectionMarks({ start, end }, lines, colour) {
  const marks = [];
  for (let line = start.line; line <= Math.min(end.line, lines.length - 1, start.line + 200); line++) {
    const from = line === start.line ? start.column : 0;
    const to = line === end.line ? end.column : lines[line].length + 1;
    const mark = el("span.selection", { "data-tone": colour });
    mark.style.top = `calc(${line} * var(--line-height))`;
    mark.style.left = `${Math.min(from, lines[line].length)}ch`;
    mark.style.width = `${Math.max(0, Math.min(to, lines[line].length + 1) - from)}ch`;
    marks.push(mark);
  }
  return marks;
}
