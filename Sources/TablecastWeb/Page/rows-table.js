// A page of rows as a real table: sortable headers, marks of what changed and by whom, others' cursors, arrow keys.

import { el, icon, setText, show } from "./dom.js";
import { FILTER_HELP } from "./filters.js";
import { count, displayName, valueKind, valueText } from "./format.js";

const MARKS = { insert: "+", update: "~", delete: "−" };
const isNumeric = (type) => /int|real|floa|doub|num|dec/i.test(type ?? "");
const CLASSES = { insert: "inserted", update: "updated", delete: "deleted" };

export class RowsTable {
  #head = el("thead");
  #body = el("tbody");
  #columns = undefined;
  #lines = [];
  #focus = { line: 0, cell: 0 };
  #hooks;
  #filters = el("tr.column-filters", { hidden: true });

  /** @param hooks `{ onsort(column), onfilter(name, text), onfocus(row, column), onopen(row, column), onedit(row, column, cell, text), ondelete(row), onundo() }`; `onedit` says whether it was taken */
  constructor(hooks) {
    this.#hooks = hooks;
    this.element = el("table.rows", { role: "grid" }, this.#head, this.#body);
    this.#body.addEventListener("focusin", (event) => this.#focused(event.target));
    this.#body.addEventListener("keydown", (event) => this.#keyPressed(event));
    this.#body.addEventListener("dblclick", (event) => event.target.closest("td") && !event.target.closest("a") && (this.#edit() || this.#open()));
  }

  /** Forgets columns and rows. */
  clear() {
    this.#columns = undefined;
    this.#lines = [];
    this.#head.replaceChildren();
    this.#body.replaceChildren();
  }

  /**
   * Brings the table up to date, touching only what differs.
   * @param columns `{ name, type, key, place, link }`: `place` is where the row has the value, `link(row)` an address that it leads to
   * @param filters texts by column; undefined where no filters are shown
   * @param cursors others' cursors: `{ key, column, username, tone }`
   */
  draw({ columns, rows, first, sort, filters, keyOf, cursors }) {
    if (columns !== this.#columns) this.#drawHead(columns);
    this.#drawSort(sort);
    this.#drawFilters(filters);
    while (this.#lines.length < rows.length) this.#addLine();
    while (this.#lines.length > rows.length) this.#lines.pop().element.remove();
    const others = new Map();
    for (const cursor of cursors) others.set(`${cursor.key}\u0000${cursor.column}`, cursor);
    rows.forEach((row, index) => this.#drawLine(this.#lines[index], row, first + index, others.size > 0 ? others : undefined, keyOf));
    if (this.#focus.line >= rows.length) this.#focus.line = Math.max(0, rows.length - 1);
    this.#lines[this.#focus.line]?.cells[this.#focus.cell]?.setAttribute("tabindex", "0");
  }

  #drawHead(columns) {
    this.clear();
    this.#columns = columns;
    this.#focus = { line: 0, cell: 0 };
    const headers = columns.map(({ name, type, key, place }) =>
      el(
        "th",
        { scope: "col", "aria-sort": "none", class: isNumeric(type) ? "numeric" : null },
        el(
          "button.sort",
          { type: "button", title: `Sort by ${displayName(name)}`, onclick: () => this.#hooks.onsort(place) },
          el("span.name", el("bdi", displayName(name))),
          el("span.type", key && el("span.key-mark", "key "), type ? type.toLowerCase() : key ? "" : "any"),
        ),
      ),
    );
    const filters = columns.map(({ name }) =>
      el("td", el("input", { type: "search", "data-column": name, autocomplete: "off", spellcheck: "false", title: FILTER_HELP, "aria-label": `Filter ${displayName(name)}`, oninput: (event) => this.#hooks.onfilter(name, event.target.value) })),
    );
    this.#filters.replaceChildren(el("td.gutter", el("span.quiet-label", "Filter")), ...filters);
    this.#head.replaceChildren(el("tr", el("th.gutter", { scope: "col" }, el("span.quiet-label", "Row")), headers), this.#filters);
  }

  #drawFilters(filters) {
    show(this.#filters, filters !== undefined);
    if (!filters) return;
    for (const input of this.#filters.querySelectorAll("input")) {
      const text = filters.get(input.dataset.column) ?? "";
      if (document.activeElement !== input && input.value !== text) input.value = text;
    }
  }

  /** Where filters are typed. */
  focusFilters() {
    this.#filters.querySelector("input")?.focus();
  }

  #drawSort({ column, descending }) {
    [...this.#head.rows[0].cells].slice(1).forEach((cell, index) => {
      cell.setAttribute("aria-sort", this.#columns[index].place !== column ? "none" : descending ? "descending" : "ascending");
    });
  }

  #addLine() {
    const gutter = el("th.gutter", { scope: "row" });
    const cells = this.#columns.map(({ link }) => el("td", { role: "gridcell", tabindex: "-1" }, link && [el("span.value"), el("a.follow", { tabindex: "-1", hidden: true }, icon("follow"))]));
    const element = el("tr", gutter, cells);
    this.#body.append(element);
    this.#lines.push({ element, gutter, cells, row: undefined, version: -1, flip: false });
  }

  #drawLine(line, row, number, others, keyOf) {
    if (others || line.cursors) this.#drawCursors(line, row, others, keyOf);
    if (line.row === row && line.version === row.version && line.number === number) return;
    const { mark } = row;
    // Two names for each animation: changing the name restarts it without a layout pass.
    if (mark !== line.mark || row !== line.row) line.flip = !line.flip;
    const flip = line.flip ? " flip" : "";
    Object.assign(line, { row, version: row.version, number, mark });
    line.element.className = mark && mark.op !== "update" ? CLASSES[mark.op] + flip : "";
    line.gutter.className = mark ? `gutter mark-${mark.op}` : "gutter";
    setText(line.gutter, mark ? `${MARKS[mark.op]} ${mark.who === "another process" ? "external" : mark.who}` : count(number + 1));
    line.gutter.title = mark ? `${CLASSES[mark.op]} by ${mark.who}` : "";
    line.cells.forEach((cell, index) => {
      const column = this.#columns[index];
      const value = row.values[column.place];
      const updated = mark?.op === "update" && mark.cells.has(column.place) ? ` updated${flip}` : "";
      if (column.link) this.#drawLinked(cell, column, row, value);
      else setText(cell, valueText(value));
      cell.className = `${valueKind(value)}${isNumeric(column.type) ? " numeric" : ""}${updated}`;
    });
  }

  /** A value that names a row of another table, with the way there. */
  #drawLinked(cell, { name, link }, row, value) {
    const [text, follow] = cell.children;
    setText(text, valueText(value));
    const found = link(row);
    show(follow, found !== undefined);
    if (!found) return;
    follow.href = found.address;
    follow.title = `${displayName(name)}: the row of ${displayName(found.table)}`;
    follow.setAttribute("aria-label", follow.title);
  }

  #drawCursors(line, row, others, keyOf) {
    const key = others && keyOf(row);
    line.cells.forEach((cell, index) => {
      const cursor = others?.get(`${key}\u0000${this.#columns[index].name}`);
      if (cursor) {
        cell.dataset.cursor = cursor.username;
        cell.dataset.tone = cursor.tone;
      } else if (cell.dataset.cursor !== undefined) {
        delete cell.dataset.cursor;
        delete cell.dataset.tone;
      }
    });
    line.cursors = others;
  }

  #focused(cell) {
    cell = cell.closest("td");
    const line = this.#lines.findIndex((each) => each.element === cell?.parentElement);
    if (line < 0 || cell.cellIndex < 1) return;
    this.#lines[this.#focus.line]?.cells[this.#focus.cell]?.setAttribute("tabindex", "-1");
    this.#focus = { line, cell: cell.cellIndex - 1 };
    cell.setAttribute("tabindex", "0");
    this.#hooks.onfocus(this.#lines[line].row, this.#columns[this.#focus.cell].name);
  }

  #keyPressed(event) {
    const { line, cell } = this.#focus;
    const last = this.#columns.length - 1;
    const moves = {
      ArrowUp: [line - 1, cell],
      ArrowDown: [line + 1, cell],
      ArrowLeft: [line, cell - 1],
      ArrowRight: [line, cell + 1],
      Home: [event.ctrlKey ? 0 : line, 0],
      End: [event.ctrlKey ? this.#lines.length - 1 : line, last],
    };
    if (event.target.closest("a, input")) return;
    if (event.key === "Enter" && event.altKey) return void this.#lines[line]?.cells[cell]?.querySelector("a.follow:not([hidden])")?.click();
    if (event.key === "Enter") {
      event.preventDefault(); // it would press the dialog's button
      return this.#open();
    }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      return this.#hooks.onundo();
    }
    if (event.key === "F2" && this.#edit()) return event.preventDefault();
    if (event.key === "Delete" && this.#lines[line]?.row) return this.#hooks.ondelete(this.#lines[line].row);
    if (!moves[event.key] || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.#lines[moves[event.key][0]]?.cells[moves[event.key][1]]?.focus();
  }

  #edit() {
    const line = this.#lines[this.#focus.line];
    const cell = line?.cells[this.#focus.cell];
    return line?.row !== undefined && this.#hooks.onedit(line.row, this.#columns[this.#focus.cell].place, cell);
  }

  /** The row that the keyboard is at. */
  get focusedRow() {
    return this.#lines[this.#focus.line]?.row;
  }

  focusCell() {
    this.#lines[this.#focus.line]?.cells[this.#focus.cell]?.focus();
  }

  #open() {
    const row = this.#lines[this.#focus.line]?.row;
    if (row) this.#hooks.onopen(row, this.#columns[this.#focus.cell].place);
  }
}
