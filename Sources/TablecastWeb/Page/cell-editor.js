// A value as it is typed: what a column makes of a text, and the field over a cell in which it is typed.

import { el, show } from "./dom.js";
import { displayName } from "./format.js";

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
const LONGEST_INLINE = 500;

/** Whether a value can be typed on one line: longer text and bytes have a dialog. */
export const isTypeable = (value) => value === null || typeof value === "number" || typeof value === "bigint" || (typeof value === "string" && value.length <= LONGEST_INLINE && !value.includes("\n"));

/** The value that a text is in a column: a number where the column holds numbers, or held one (https://sqlite.org/datatype3.html). */
export function typedValue(text, { type = "" }, old) {
  const isText = /char|clob|text/i.test(type) && !/int/i.test(type);
  const isUntyped = type === "" || (/blob/i.test(type) && !/int/i.test(type));
  const wasNumber = typeof old === "number" || typeof old === "bigint";
  if (isText || (isUntyped && !wasNumber) || !NUMBER.test(text)) return text;
  if (!/^[+-]?\d+$/.test(text)) return Number(text);
  const whole = BigInt(text);
  if (BigInt.asIntN(64, whole) !== whole) return text; // SQLite knows what to make of it
  return Number.isSafeInteger(Number(text)) ? Number(text) : whole;
}

/** A field that is NULL until text is typed; `value()` is its current value. */
export class ValueField {
  #column;
  #old;
  #input;
  #null;
  element;

  constructor(column, value, { label = displayName(column.name), isLong = false, id } = {}) {
    this.#column = column;
    this.#old = value;
    const options = { id, "aria-label": label, autocomplete: "off", spellcheck: "false", value: value === null ? "" : String(value), oninput: () => this.#setNull(false) };
    this.#input = isLong ? el("textarea", { ...options, rows: "8" }) : el("input", { type: "text", ...options });
    this.#null = column.notNull ? undefined : el("button.small", { type: "button", title: "Set to NULL, which differs from an empty text", onclick: () => this.#toggleNull() }, "NULL");
    this.element = el("span.value-field", this.#input, this.#null);
    this.#setNull(value === null);
  }

  get isNull() {
    return this.#null?.getAttribute("aria-pressed") === "true";
  }

  value() {
    return this.isNull ? null : typedValue(this.#input.value, this.#column, this.#old);
  }

  focus() {
    this.#input.focus();
    this.#input.select();
  }

  /** Begins with what was typed already. */
  begin(text) {
    this.#input.value = text;
    this.#setNull(false);
    this.#input.focus();
  }

  #setNull(isNull) {
    this.#null?.setAttribute("aria-pressed", String(isNull));
    this.#input.placeholder = isNull ? "NULL" : "empty text";
  }

  #toggleNull() {
    const isNull = !this.isNull;
    if (isNull) this.#input.value = "";
    this.#setNull(isNull);
    this.#input.focus();
  }
}

/**
 * Edits a cell where it stands; the rows go on changing below. Enter saves, and so does going elsewhere; Escape leaves it.
 * @param onsave called with the value if it is another one
 * @param onclose called when the field is gone; whether the focus should go back to the cell
 */
export function editCell(scroller, cell, column, value, { text, onsave, onclose }) {
  const field = new ValueField(column, value);
  let isOpen = true;
  const close = (saves, keepsFocus) => {
    if (!isOpen) return;
    isOpen = false;
    const next = saves ? field.value() : value;
    editor.remove();
    onclose(keepsFocus);
    if (saves && !Object.is(next, value)) onsave(next);
  };
  const editor = el(
    "form.cell-editor",
    {
      onsubmit: (event) => {
        event.preventDefault();
        close(true, true);
      },
      onkeydown: (event) => {
        event.stopPropagation();
        if (event.key !== "Escape") return;
        event.preventDefault();
        close(false, true);
      },
      onfocusout: (event) => !editor.contains(event.relatedTarget) && close(true, false),
    },
    field.element,
    el("button.visually-hidden", { type: "submit", tabindex: "-1" }, "Save"),
  );
  const place = cell.getBoundingClientRect();
  const frame = scroller.getBoundingClientRect();
  editor.style.left = `${place.left - frame.left + scroller.scrollLeft}px`;
  editor.style.top = `${place.top - frame.top + scroller.scrollTop}px`;
  editor.style.minWidth = `${place.width}px`;
  editor.style.height = `${place.height}px`;
  scroller.append(editor);
  if (text === undefined) field.focus();
  else field.begin(text);
  return { close: () => close(false, false) };
}
