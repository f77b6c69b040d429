// Dialogs for a new row, and for a row that another user has changed meanwhile.

import { ValueField } from "./cell-editor.js";
import { el, setText, show } from "./dom.js";
import { displayName, valueText } from "./format.js";
import { field, same } from "./values.js";

/** Asks for the values of a new row; what is left as it is gets its default. `save(values)` may fail, and is tried again then. */
export function askForRow(table, columns, save) {
  const problem = el("p.problem", { role: "alert", hidden: true });
  const fields = columns.filter(({ generated }) => !generated).map((column, index) => ({ column, field: new OptionalField(column, `new-${index}`) }));
  const form = el(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          await save(Object.fromEntries(fields.filter(({ field }) => field.isGiven).map(({ column, field }) => [column.name, field.value()])));
          dialog.close();
        } catch (error) {
          setText(problem, error.message);
          show(problem, true);
        }
      },
    },
    el("header", el("h2", "New row of ", el("bdi", displayName(table)))),
    el("div.body.fields", fields.map(({ field }) => field.elements).flat()),
    problem,
    el("footer", el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), el("button.primary", { type: "submit" }, "Add")),
  );
  const dialog = el("dialog.row", { "aria-label": `New row of ${displayName(table)}`, onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
  (fields.find(({ column }) => !column.primaryKey) ?? fields[0])?.field.focus();
}

/** A value, or the column's default as long as nothing is typed. */
class OptionalField {
  isGiven = false;
  #field;

  constructor(column, id) {
    this.#field = new ValueField(column, "", { id, label: null });
    const input = this.#field.element.querySelector("input");
    input.placeholder = defaultText(column);
    this.#field.element.addEventListener("input", () => (this.isGiven = true));
    this.#field.element.addEventListener("click", (event) => event.target.closest("button") && (this.isGiven = true));
    this.elements = [el("label", { for: id }, el("bdi", displayName(column.name)), " ", el("span.quiet", (column.type ?? "").toLowerCase())), this.#field.element];
  }

  value() {
    return this.#field.value();
  }

  focus() {
    this.#field.focus();
  }
}

function defaultText({ default: initial, primaryKey, notNull, type }) {
  if (initial !== undefined && initial !== null) return `default: ${initial}`;
  if (primaryKey && /^integer$/i.test(type ?? "")) return "the next number";
  return notNull ? "required" : "default: NULL";
}

/**
 * Shows the row as another user has changed it.
 * @param current the row as it is, or null where it is gone
 * @param wanted the values that were to be written, by column
 * @param force writes them over what there is now
 */
export function showConflict({ table, seen, current, wanted, force }) {
  const names = current ? Object.keys(current).filter((name) => !same(field(seen, name), current[name]) || Object.hasOwn(wanted ?? {}, name)) : [];
  const head = el("tr", ["Column", "Old value", "Current value", wanted && "Your value"].filter(Boolean).map((title) => el("th", { scope: "col" }, title)));
  const line = (name) =>
    el("tr", el("th", { scope: "row" }, el("bdi", displayName(name))), el("td", valueText(field(seen, name) ?? null)), el("td.theirs", valueText(current[name])), wanted && el("td", Object.hasOwn(wanted, name) ? valueText(wanted[name]) : ""));
  const write = async () => {
    dialog.close();
    await force();
  };
  const dialog = el(
    "dialog.conflict",
    { "aria-label": "Changed meanwhile", onclose: () => dialog.remove() },
    el("header", el("h2", current ? "Changed meanwhile" : "Gone meanwhile")),
    el(
      "div.body",
      el("p", current ? `This row of ${displayName(table)} was changed after you read it. Your change was not written.` : `This row of ${displayName(table)} was deleted after you read it.`),
      current && el("div.scroller", el("table.columns", el("thead", head), el("tbody", names.map(line)))),
    ),
    el("footer", current && force && el("button", { type: "button", onclick: write }, wanted ? "Overwrite" : "Delete anyway"), el("button.primary", { type: "button", onclick: () => dialog.close() }, current ? "Keep it as it is" : "Close")),
  );
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("button.primary").focus();
}
