// One value in full: long text, bytes as hex, and how to take it along.

import { InvalidText } from "/tablecast.js";
import { el } from "./dom.js";
import { bytes, cut, displayName, hex, plural, valueKind } from "./format.js";

const LONGEST_SHOWN = 200_000;

export function showCell(column, value) {
  const text = fullText(value);
  const close = el("button.primary", { type: "button", onclick: () => dialog.close() }, "Close");
  const copy = el("button", { type: "button", onclick: () => navigator.clipboard?.writeText(text) }, "Copy");
  const dialog = el(
    "dialog.cell",
    { "aria-label": `Value of ${displayName(column)}`, onclose: () => dialog.remove() },
    el("header", el("h2", el("bdi", displayName(column))), el("span.quiet", describe(value))),
    el("pre", { tabindex: "0" }, cut(text, LONGEST_SHOWN)),
    el("footer", copy, close),
  );
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
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
