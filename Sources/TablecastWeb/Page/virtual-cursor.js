// A place in a virtual table for who uses the keyboard: arrows move it, Enter opens what is there. A row, or a cell of it.

export class VirtualCursor {
  #table;
  #columns;
  #hooks;
  #place;

  /**
   * @param columns gives the cells of a line that the cursor goes through, `{ first, count }`; undefined where it goes by rows
   * @param hooks `{ onmove(row, column), onopen(row, column) }`
   */
  constructor(table, columns, hooks) {
    this.#table = table;
    this.#columns = columns;
    this.#hooks = hooks;
    table.element.setAttribute("role", "group"); // which may have an active descendant
    table.element.addEventListener("keydown", (event) => this.#keyPressed(event));
    table.element.addEventListener("click", (event) => this.#clicked(event));
    table.element.addEventListener("dblclick", () => this.#columns && this.#open());
  }

  /** `{ row, column }` or undefined; `column` counts all cells of a line. */
  get place() {
    return this.#place;
  }

  set place(place) {
    this.#place = place;
    this.#table.active = place;
  }

  #keyPressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#table.element) return;
    if (event.key === "Enter" && this.#place) {
      event.preventDefault();
      return this.#open();
    }
    const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [];
    if (down === undefined || (right !== 0 && !this.#columns) || this.#table.count === 0) return;
    event.preventDefault();
    const { first = 0, count = 1 } = this.#columns?.() ?? {};
    const isSeen = this.#place && this.#table.isNear(this.#place.row);
    const row = isSeen ? Math.max(0, Math.min(this.#table.count - 1, this.#place.row + down)) : this.#table.firstInSight;
    const column = isSeen ? Math.max(first, Math.min(first + count - 1, this.#place.column + right)) : first;
    this.#moveTo({ row, column });
    this.#table.reveal(row);
  }

  #clicked(event) {
    const cell = event.target.closest("tbody:not(.spacer) td");
    const line = cell && this.#table.lineOf(cell.parentElement);
    if (!line) return;
    const { first = 0, count = 1 } = this.#columns?.() ?? {};
    if (this.#columns && (cell.cellIndex < first || cell.cellIndex >= first + count)) return;
    this.#moveTo({ row: line.index, column: cell.cellIndex });
    if (!this.#columns) this.#open();
  }

  #moveTo(place) {
    this.place = place;
    this.#hooks.onmove?.(place.row, place.column);
  }

  #open() {
    if (this.#place && this.#place.row < this.#table.count) this.#hooks.onopen(this.#place.row, this.#place.column);
  }
}
