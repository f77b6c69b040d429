// Reading SQL just well enough to colour it and to find its parameters.

import { el } from "./dom.js";

const KEYWORDS = new Set(
  `abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade case cast check
  collate column commit conflict constraint create cross current current_date current_time current_timestamp database default
  deferrable deferred delete desc detach distinct do drop each else end escape except exclude exclusive exists explain fail filter
  first following for foreign from full generated glob group groups having if ignore immediate in index indexed initially inner
  insert instead intersect into is isnull join key last left like limit match materialized natural no not nothing notnull null nulls
  of offset on or order others outer over partition plan pragma preceding primary query raise range recursive references regexp
  reindex release rename replace restrict returning right rollback row rows savepoint select set strict table temp temporary then
  ties to transaction trigger unbounded union unique update using vacuum values view virtual when where window with without`.split(/\s+/),
);

export const keywords = [...KEYWORDS];

export const isKeyword = (word) => KEYWORDS.has(word.toLowerCase());

const TOKEN = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(x?'(?:[^']|'')*'?)|("(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?)|(\?\d*|[:@$][\p{L}\d_]+)|(\b\d[\d_]*(?:\.\d*)?(?:e[+-]?\d+)?\b|\b0x[\da-f]+\b)|([\p{L}_][\p{L}\d_$]*)/giu;
const KINDS = ["comment", "string", "name", "parameter", "number", "word"];
const LONGEST_COLOURED = 40_000;

/** Tokens that matter, `{ kind, text, index }`, in order; what is between them is left out. `error` is where SQLite stopped. */
export function tokens(sql, error) {
  return error === undefined ? plainTokens(sql) : withError(sql, error);
}

function* plainTokens(sql) {
  for (const match of sql.matchAll(TOKEN)) {
    const kind = KINDS[match.slice(1).findIndex((group) => group !== undefined)];
    if (kind !== "word") yield { kind, text: match[0], index: match.index };
    else if (KEYWORDS.has(match[0].toLowerCase())) yield { kind: "keyword", text: match[0], index: match.index };
  }
}

/** A part of the SQL as coloured text. */
export function highlighted(sql, found = sql.length > LONGEST_COLOURED ? [] : tokens(sql), from = 0, to = sql.length) {
  const fragment = document.createDocumentFragment();
  let done = from;
  for (const { kind, text, index } of found) {
    const [start, end] = [Math.max(index, done), Math.min(index + text.length, to)];
    if (start >= to) break;
    if (end <= start) continue;
    if (start > done) fragment.append(sql.slice(done, start));
    fragment.append(el(`span.sql-${kind}`, sql.slice(start, end)));
    done = end;
  }
  if (to > done) fragment.append(sql.slice(done, to));
  return fragment;
}

/** Marks the word at the error as a token of its own. */
function* withError(sql, error) {
  const wrong = /^[\p{L}\d_]+|^\S/u.exec(sql.slice(error))?.[0] ?? sql.slice(error, error + 1);
  let pending = { kind: "error", text: wrong || " ", index: error };
  for (const token of plainTokens(sql)) {
    if (pending && token.index + token.text.length > error) {
      if (token.index < error) yield { ...token, text: sql.slice(token.index, error) };
      yield pending;
      pending = undefined;
      if (token.index < error + wrong.length) continue;
    }
    yield token;
  }
  if (pending && wrong) yield pending;
}

/** Each parameter as it stands, `{ name, number, index }`: a `?` is named by its number, `?3`. */
export function parameters(sql) {
  const numbers = new Map();
  const found = [];
  let largest = 0;
  for (const { kind, text, index } of tokens(sql)) {
    if (kind !== "parameter") continue;
    const name = text === "?" ? `?${largest + 1}` : text;
    if (!numbers.has(name)) numbers.set(name, name.startsWith("?") ? Number(name.slice(1)) : largest + 1);
    const number = numbers.get(name);
    largest = Math.max(largest, number);
    found.push({ name, number, index });
  }
  return found;
}

/** A place in the UTF-8 bytes of a text, as a place in its characters. */
export function characterAt(text, byteOffset) {
  return new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, byteOffset)).length;
}
