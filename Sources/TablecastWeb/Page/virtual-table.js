// A table of any length: only the rows in sight exist. Browsers limit how high an element may be (Firefox to 17 million
// pixels), so beyond MOST_PIXELS the scrollbar is a scale: small steps still move row by row, a drag goes to its share.

import { el } from "./dom.js";
import { schedule } from "./frame.js";

const MOST_PIXELS = 6_000_000;
const OVERSCAN = 6;

let tables = 0;

export class VirtualTable {
  #id = `virtual-${(tables += 1)}`;
  #above = el("tbody.spacer", { "aria-hidden": "true" }, el("tr", el("td")));
  #body = el("tbody");
  #below = el("tbody.spacer", { "aria-hidden": "true" }, el("tr", el("td")));
  #head = el("thead");
  #columns = el("colgroup");
  #lines = [];
  #rowHeight;
  #count = 0;
  #drawLine;
  #offset = 0;
  #lastScrollTop = 0;
  #isMoved = false;
  #version = 0;
  #active;
  #activeElement;
  #isActiveNew = false;

  /** @param drawLine fills a `tr` for a row's index; the line is given as `{ element, index }` */
  constructor({ rowHeight, label, drawLine, className = "" }) {
    this.#rowHeight = rowHeight;
    this.#drawLine = drawLine;
    this.table = el(`table.virtual${className}`, { "aria-label": label }, this.#columns, this.#head, this.#above, this.#body, this.#below);
    this.element = el("div.scroller.virtual-scroller", { tabindex: "0", role: "region", "aria-label": label }, this.table);
    this.element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.#keyPressed(event));
    new ResizeObserver(() => this.#changed()).observe(this.element);
  }

  /** @param columns `{ title, width, className }`; what they leave of the width stays empty at the end */
  setColumns(columns) {
    if (!columns.some(({ width }) => width === "auto")) columns = [...columns, { title: "", width: "auto" }];
    this.table.style.minWidth = `calc(${columns.map(({ width }) => (width === "auto" ? "0px" : width)).join(" + ")})`;
    this.#columns.replaceChildren(
      ...columns.map(({ width }) => {
        const column = el("col");
        column.style.width = width;
        return column;
      }),
    );
    this.#head.replaceChildren(el("tr", columns.map(({ title, className }) => el("th", { scope: "col", class: className }, el("bdi", title)))));
    this.#body.replaceChildren();
    this.#lines = [];
    for (const spacer of [this.#above, this.#below]) spacer.rows[0].cells[0].colSpan = Math.max(1, columns.length);
  }

  get count() {
    return this.#count;
  }

  get atTop() {
    return this.#offset < this.#rowHeight / 2;
  }

  set count(count) {
    this.#count = count;
    this.table.setAttribute("aria-rowcount", String(count + 1));
    this.#changed();
  }

  /** The rows in sight may differ from what is drawn. */
  refresh() {
    this.#version += 1;
    this.#changed();
  }

  /** The row, and the cell of it, that the keyboard is at: `{ row, column }` or undefined. */
  set active(place) {
    this.#isActiveNew ||= place?.row !== this.#active?.row || place?.column !== this.#active?.column;
    this.#active = place;
    this.#changed();
  }

  /** The line that an element is, or that shows a row: `{ element, index }` and whatever `drawLine` has left on it. */
  lineOf(element) {
    return this.#lines.find((line) => line.element === element);
  }

  lineAt(row) {
    return this.#lines.find(({ index }) => index === row);
  }

  get firstInSight() {
    return Math.min(this.#count - 1, Math.ceil(this.#offset / this.#rowHeight));
  }

  /** Whether a row is in sight, or next to what is, by the offset alone: keys may come faster than frames. */
  isNear(row) {
    const [first, end] = this.#rowsToDraw;
    return row >= first && row < end;
  }

  /** Brings a row into sight. */
  reveal(row) {
    const top = row * this.#rowHeight;
    const offset = Math.max(Math.min(this.#offset, top), top + this.#rowHeight - this.#viewport);
    if (offset !== this.#offset) this.#moveTo(offset);
  }

  /** Rows were added or removed above: the visible rows stay the same. */
  added(rows) {
    if (rows !== 0 && !this.atTop) this.#moveTo(this.#offset + rows * this.#rowHeight);
  }

  #moveTo(offset) {
    this.#offset = offset;
    this.#isMoved = true;
    this.#changed();
  }

  scrollToTop() {
    this.#offset = 0;
    this.element.scrollTop = 0;
    this.#changed();
  }

  /** The browser knows only of the rows that were drawn by now; its own End would stop there. */
  #keyPressed(event) {
    const offset = { Home: 0, End: this.#virtualHeight }[event.key];
    if (offset === undefined || event.altKey || event.metaKey || event.target !== this.element) return;
    event.preventDefault();
    this.#moveTo(offset);
  }

  get #virtualHeight() {
    return this.#count * this.#rowHeight;
  }

  get #height() {
    return Math.min(this.#virtualHeight, MOST_PIXELS);
  }

  get #viewport() {
    return Math.max(0, this.element.clientHeight - this.#head.offsetHeight);
  }

  /** Puts the scrollbar where the offset is. */
  #follow() {
    const most = Math.max(1, this.#virtualHeight - this.#viewport);
    const isScaled = this.#virtualHeight > MOST_PIXELS;
    this.element.scrollTop = isScaled ? (this.#offset / most) * Math.max(1, this.#height - this.#viewport) : this.#offset;
    this.#lastScrollTop = this.element.scrollTop;
  }

  #scrolled() {
    const { scrollTop } = this.element;
    if (this.#isMoved) return; // it is about to be put elsewhere
    const step = scrollTop - this.#lastScrollTop;
    this.#lastScrollTop = scrollTop;
    const most = Math.max(0, this.#virtualHeight - this.#viewport);
    const scrollable = Math.max(1, this.#height - this.#viewport);
    const isScaled = this.#virtualHeight > MOST_PIXELS;
    const isDrag = Math.abs(step) > 2 * this.#viewport;
    const isAtEnd = scrollTop <= 0 || scrollTop >= scrollable - 1;
    if (!isScaled) this.#offset = scrollTop;
    else if (isDrag || isAtEnd) this.#offset = (scrollTop / scrollable) * most;
    else this.#offset = Math.min(most, Math.max(0, this.#offset + step));
    schedule(this.#draw, { isUrgent: true });
  }

  #changed = () => schedule(this.#draw);

  /** The rows in sight and some around them: `[first, end]`, without `end` itself. */
  get #rowsToDraw() {
    const viewport = this.#viewport;
    const offset = Math.max(0, Math.min(this.#offset, this.#virtualHeight - viewport));
    const first = Math.max(0, Math.floor(offset / this.#rowHeight) - OVERSCAN);
    return [first, Math.min(this.#count, Math.ceil((offset + viewport) / this.#rowHeight) + OVERSCAN)];
  }

  #draw = () => {
    this.#offset = Math.max(0, Math.min(this.#offset, this.#virtualHeight - this.#viewport));
    if (this.#isMoved) this.#follow();
    const [first, end] = this.#rowsToDraw;
    while (this.#lines.length < end - first) this.#addLine();
    while (this.#lines.length > end - first) this.#lines.pop().element.remove();
    this.#lines.forEach((line, index) => {
      if (line.index === first + index && line.version === this.#version) return;
      Object.assign(line, { index: first + index, version: this.#version });
      line.element.setAttribute("aria-rowindex", String(line.index + 2));
      this.#drawLine(line.element, line.index, line);
    });
    this.#drawActive();
    const shift = this.#virtualHeight > MOST_PIXELS ? this.element.scrollTop - this.#offset : 0;
    const above = Math.max(0, first * this.#rowHeight + shift);
    const below = Math.max(0, this.#height - above - (end - first) * this.#rowHeight);
    setHeight(this.#above, above);
    setHeight(this.#below, below);
    if (this.#isMoved) this.#follow(); // once more: only now it is as high as that
    this.#isMoved = false;
  };

  #drawActive() {
    const line = this.#active && this.lineAt(this.#active.row);
    const cell = line?.element.cells[this.#active.column];
    if (cell !== this.#activeElement) {
      this.#activeElement?.classList.remove("active");
      this.#activeElement?.removeAttribute("id");
      this.#activeElement = cell;
    }
    if (!cell) return this.element.removeAttribute("aria-activedescendant");
    if (this.#isActiveNew && this.#active.column > 0) this.#revealAcross(cell);
    this.#isActiveNew = false;
    cell.classList.add("active"); // its class may have been replaced
    cell.id = `${this.#id}-active`;
    this.element.setAttribute("aria-activedescendant", cell.id);
  }

  #revealAcross({ offsetLeft, offsetWidth }) {
    const { scrollLeft, clientWidth } = this.element;
    if (offsetLeft < scrollLeft) this.element.scrollLeft = offsetLeft;
    else if (offsetLeft + offsetWidth > scrollLeft + clientWidth) this.element.scrollLeft = Math.min(offsetLeft, offsetLeft + offsetWidth - clientWidth);
  }

  #addLine() {
    const element = el("tr", [...this.#columns.children].map(() => el("td")));
    this.#body.append(element);
    this.#lines.push({ element, index: -1, version: -1 });
  }
}

function setHeight(spacer, height) {
  const value = `${height}px`;
  if (spacer.rows[0].style.height !== value) spacer.rows[0].style.height = value;
  spacer.hidden = height === 0;
}
