// One value in full: long text, bytes as hex, and how to take it along.

import { InvalidText } from "/tablecast.js";
import { ValueField } from "./cell-editor.js";
import { el, setText, show } from "./dom.js";
import { bytes, cut, displayName, hex, plural, valueKind } from "./format.js";

const LONGEST_SHOWN = 200_000;

/** @param editing `{ column, save(value) }` where the value may be changed */
export function showCell(column, value, editing) {
  const text = fullText(value);
  const edit = editing && el("button", { type: "button", onclick: () => editValue(dialog, value, editing) }, "Edit");
  const close = el("button.primary", { type: "button", onclick: () => dialog.close() }, "Close");
  const copy = el("button", { type: "button", onclick: () => navigator.clipboard?.writeText(text) }, "Copy");
  const dialog = el(
    "dialog.cell",
    { "aria-label": `Value of ${displayName(column)}`, onclose: () => dialog.remove() },
    el("header", el("h2", el("bdi", displayName(column))), el("span.quiet", describe(value))),
    el("pre", { tabindex: "0" }, cut(text, LONGEST_SHOWN)),
    el("footer", copy, edit, close),
  );
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}

/** The same dialog, to change the value: as text, or bytes from a file. */
function editValue(dialog, value, { column, save }) {
  const isBytes = value instanceof Uint8Array || value instanceof InvalidText;
  const field = new ValueField(column, isBytes ? null : value, { isLong: true });
  const file = el("input", { type: "file", "aria-label": "Bytes from a file" });
  const problem = el("p.problem", { role: "alert", hidden: true });
  const submit = async (event) => {
    event.preventDefault();
    const [chosen] = file.files;
    if (!chosen && isBytes && field.isNull && column.notNull) return;
    try {
      await save(chosen ? new Uint8Array(await chosen.arrayBuffer()) : field.value());
      dialog.close();
    } catch (error) {
      setText(problem, error.message);
      show(problem, true);
    }
  };
  dialog.replaceChildren(
    el(
      "form",
      { onsubmit: submit },
      el("header", el("h2", "Edit ", el("bdi", displayName(column.name)))),
      el("div.body", field.element, el("label.quiet.file", "or bytes from a file ", file), problem),
      el("footer", el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), el("button.primary", { type: "submit" }, "Save")),
    ),
  );
  field.focus();
}

function describe(value) {
  switch (valueKind(value)) {
    case "null":
      return "NULL";
    case "number":
      return typeof value === "bigint" || Number.isInteger(value) ? "integer" : "real";
    case "text":
      return `text, ${plural(value.length, "character")}`;
  }
  return value instanceof InvalidText ? "text that is not UTF-8, as hex" : `blob, ${bytes(value.length)}, as hex`;
}

function fullText(value) {
  if (value instanceof InvalidText) return hex(value.bytes);
  if (value instanceof Uint8Array) return hex(value);
  return value === null ? "NULL" : String(value);
}
