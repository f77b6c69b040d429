// The SQL editor: a textarea, and behind it the same text in colour; above it the cursors of the others.

import { el, show } from "./dom.js";
import { schedule } from "./frame.js";
import { tone } from "./people.js";
import { highlighted, tokens } from "./sql.js";

const LONGEST_SHARED_BYTES = 16_384; // the server refuses longer ones
const LINE_HEIGHT = 21;
const OVERSCAN_LINES = 20;
const LONGEST_COLOURED = 200_000;
const LONGEST_COLOURED_SIGHT = 12_000; // characters in sight, as of one long line
const TAB_SIZE = 4; // these as in the style sheet
const PADDING_X = 14;
const PADDING_Y = 12;

export class Editor {
  #colours = el("pre.colours", { "aria-hidden": "true" });
  #cursors = el("div.cursors", { "aria-hidden": "true" });
  #error;
  #people = [];
  #carets = new Map();
  #onmove;
  /** Handles keys before the editor; returns whether it consumed one. */
  onkey = () => false;

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
      onscroll: () => this.#scrolled(),
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
    if (readOnly) this.input.setSelectionRange(selectionStart, selectionEnd); // keeps the reader's place while another user writes
    this.#error = undefined;
    this.#changed();
  }

  /** What is selected, or everything. */
  get chosen() {
    const { selectionStart, selectionEnd, value } = this.input;
    return selectionStart === selectionEnd ? { sql: value, start: 0 } : { sql: value.slice(selectionStart, selectionEnd), start: selectionStart };
  }

  /** As it is before its user chose another place. */
  get isCaretAtEnd() {
    const { selectionStart, selectionEnd, value } = this.input;
    return selectionStart === selectionEnd && selectionEnd === value.length;
  }

  /** Underlines the word at a character, puts the cursor there, and brings it into sight. */
  markError(index) {
    this.#error = index;
    if (index !== undefined) {
      this.input.setSelectionRange(index, index);
      const { line, column } = this.place(index);
      this.reveal(line);
      this.#revealColumn(column);
    }
    this.#changed();
  }

  #revealColumn(column) {
    const { scrollLeft, clientWidth, scrollWidth } = this.input;
    const longest = Math.max(1, ...this.text.split("\n").map((line) => line.length));
    const left = (column / longest) * scrollWidth; // near enough: all characters are as wide as each other
    if (left < scrollLeft || left > scrollLeft + clientWidth * 0.8) this.input.scrollLeft = left - clientWidth / 2;
  }

  /** Another text in place of this one, which Ctrl+Z brings back. */
  replace(text) {
    this.input.focus();
    this.input.select();
    this.#insert(text);
  }

  /** Where in the window the line below a character is, in pixels. */
  below(index) {
    const { line, column } = this.place(index);
    const frame = this.input.getBoundingClientRect();
    const width = widthOf(this.text.split("\n")[line], column) * this.#characterWidth;
    return { left: Math.min(frame.left + PADDING_X + width - this.input.scrollLeft, innerWidth - 240), top: frame.top + PADDING_Y + (line + 1) * LINE_HEIGHT - this.input.scrollTop };
  }

  get #characterWidth() {
    const ruler = el("span", "0".repeat(100));
    ruler.style.position = "absolute";
    this.#colours.append(ruler);
    const width = ruler.getBoundingClientRect().width / 100;
    ruler.remove();
    return width;
  }

  /** As if it were typed, in place of what is selected. */
  insert(text) {
    this.#insert(text);
  }

  /** As if it were typed: `setRangeText` and `value` would leave the browser undoing what is no longer there. */
  #insert(text) {
    const isDone = document.activeElement === this.input && (text === "" ? document.execCommand("delete") : document.execCommand("insertText", false, text));
    if (isDone) return;
    this.input.setRangeText(text, this.input.selectionStart, this.input.selectionEnd, "end");
    this.input.dispatchEvent(new Event("input"));
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

  /** Reports the cursor and its text. */
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

  /** Tab indents where the keyboard entered; Escape and then Tab leaves, so that the keyboard focus is never trapped. */
  #keyPressed(event) {
    if (this.onkey(event)) {
      event.preventDefault();
      return event.stopPropagation();
    }
    if (event.key === "Escape") this.#leaves = true;
    else if (event.key !== "Tab") this.#leaves = false;
    if (this.input.readOnly || event.key !== "Tab" || event.shiftKey || this.#leaves || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#insert("  ");
  }

  #leaves = false;

  #changed = () => schedule(this.#draw);

  #draw = () => {
    this.#read();
    this.#drawColours();
    this.#drawPeople();
    this.#follow();
  };

  /** The text as it is drawn: its tokens, where each of its lines begins, and which of them are coloured. */
  #drawn = { text: undefined, tokens: [], starts: [0], error: undefined, first: 0, last: -1 };

  #read() {
    const { text } = this;
    if (this.#drawn.text === text && this.#drawn.error === this.#error) return;
    const starts = [0];
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", end + 1)) starts.push(end + 1);
    this.#drawn = { text, tokens: text.length > LONGEST_COLOURED ? [] : [...tokens(text, this.#error)], starts, error: this.#error, first: 0, last: -1 };
  }

  /** The textarea holds the text; behind it only the lines in sight are coloured, so that a long text is typed as fast as a short one. */
  #drawColours() {
    const { text, starts } = this.#drawn;
    const { scrollTop, clientHeight } = this.input;
    const top = Math.floor(scrollTop / LINE_HEIGHT);
    const bottom = Math.ceil((scrollTop + clientHeight) / LINE_HEIGHT);
    if (this.#drawn.first <= top && Math.min(bottom, starts.length - 1) <= this.#drawn.last) return;
    const first = Math.max(0, top - OVERSCAN_LINES);
    const last = Math.min(starts.length - 1, bottom + OVERSCAN_LINES);
    const [from, to] = [starts[Math.min(first, starts.length - 1)], starts[last + 1] ?? text.length];
    const inSight = to - from > LONGEST_COLOURED_SIGHT ? [] : this.#drawn.tokens;
    this.#colours.replaceChildren(highlighted(text, inSight, from, to), "\n");
    Object.assign(this.#drawn, { first, last });
  }

  #scrolled() {
    this.#read();
    this.#drawColours();
    this.#follow();
  }

  #drawPeople() {
    show(this.#cursors, this.#people.length > 0);
    if (this.#people.length === 0) {
      this.#cursors.replaceChildren();
      this.#carets.clear();
      return;
    }
    const lines = this.text.split("\n");
    const carets = new Map();
    const marks = this.#people.flatMap(({ userId, username, cursor }) => {
      const colour = tone(userId);
      const { position, selection } = cursor;
      // The flag fades: kept as it is until its owner moves.
      const caret = this.#carets.get(cursor) ?? el("span.caret", { "data-tone": colour }, el("span.flag", username));
      carets.set(cursor, caret);
      caret.style.top = `calc(${Math.min(position.line, lines.length - 1)} * var(--line-height))`;
      caret.style.left = `${widthOf(lines[position.line] ?? lines.at(-1), position.column)}ch`;
      return [...(selection ? selectionMarks(selection, lines, colour) : []), caret];
    });
    this.#carets = carets;
    const layer = this.#cursors.firstElementChild ?? this.#cursors.appendChild(el("div"));
    for (const old of [...layer.children]) if (!marks.includes(old)) old.remove();
    for (const mark of marks) if (mark.parentElement !== layer) layer.append(mark);
  }

  #follow() {
    const { scrollTop, scrollLeft } = this.input;
    this.#colours.style.transform = `translate(${-scrollLeft}px, ${this.#drawn.first * LINE_HEIGHT - scrollTop}px)`;
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
    const [left, right] = [widthOf(lines[line], from), widthOf(lines[line], to)];
    mark.style.left = `${left}ch`;
    mark.style.width = `${right - left + (to > lines[line].length ? 1 : 0)}ch`;
    marks.push(mark);
  }
  return marks;
}

/** How wide the first characters of a line are: a tab reaches to the next stop. */
function widthOf(line, column) {
  let width = 0;
  for (const character of line.slice(0, column)) width += character === "\t" ? TAB_SIZE - (width % TAB_SIZE) : 1;
  return width;
}
