// The fields for a query's parameters: found in its text, typed by hand, kept while the text changes.

import { Real } from "/tablecast.js";
import { el, show } from "./dom.js";
import { parameters } from "./sql.js";

const TYPES = { text: "Text", integer: "Integer", real: "Real", null: "NULL", hex: "Bytes (hex)" };

export class ParameterFields {
  #fields = new Map();
  #kept = new Map();
  #grid = el("div.parameter-grid");

  constructor() {
    this.element = el("fieldset.parameters", { hidden: true }, el("legend", "Parameters"), this.#grid);
  }

  /** Offers a field for each parameter of the text. */
  match(sql) {
    const names = [...new Set(parameters(sql).map(({ name }) => name))];
    if (names.join() === [...this.#fields.keys()].join()) return;
    for (const [name, field] of this.#fields) this.#kept.set(name, field);
    this.#fields = new Map(names.map((name) => [name, this.#kept.get(name) ?? newField(name)]));
    this.#grid.replaceChildren(...[...this.#fields.values()].map((field) => field.element));
    show(this.element, names.length > 0);
  }

  /**
   * As the client takes them, for a part of the text; throws with a sentence where a field can't be read. In the part a `?` may
   * have another number than in the whole, but it is the same one: they are matched by their place.
   */
  valuesFor(text, { sql, start }) {
    const inPart = parameters(sql);
    if (inPart.length === 0) return undefined;
    const inText = new Map(parameters(text).map(({ name, index }) => [index - start, name]));
    const values = inPart.map(({ name, number, index }) => {
      const { type, input } = this.#fields.get(inText.get(index)) ?? this.#fields.get(name);
      return { name, number, value: read(name, type.value, input.value) };
    });
    if (!values.some(({ name }) => name.startsWith("?"))) return Object.fromEntries(values.map(({ name, value }) => [name, value]));
    const list = [];
    for (const { number, value } of values) list[number - 1] = value;
    return Array.from(list, (value) => value ?? null);
  }
}

function newField(name) {
  const input = el("input", { type: "text", spellcheck: "false", autocomplete: "off", "aria-label": `Value of ${name}` });
  const type = el(
    "select",
    { "aria-label": `Type of ${name}`, onchange: () => (input.disabled = type.value === "null") },
    Object.entries(TYPES).map(([value, title]) => el("option", { value }, title)),
  );
  return { type, input, element: el("label.parameter", el("code", name), input, type) };
}

function read(name, type, text) {
  if (type === "null") return null;
  if (type === "text") return text;
  const compact = text.replace(/[\s_]/g, "");
  if (type === "hex") {
    if (!/^([\da-f]{2})*$/i.test(compact)) throw new Error(`${name}: expected pairs of hex digits, found “${text}”`);
    return Uint8Array.from(compact.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }
  if (type === "integer") {
    if (!/^[+-]?\d+$/.test(compact)) throw new Error(`${name}: expected a whole number, found “${text}”`);
    const whole = BigInt(compact);
    return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
  }
  const number = Number(compact);
  if (compact === "" || Number.isNaN(number)) throw new Error(`${name}: expected a number, found “${text}”`);
  return new Real(number);
}
