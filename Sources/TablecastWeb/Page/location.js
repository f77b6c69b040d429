// The location in the page, as in its URL: a view, and for a table its tab, order, page, columns and filter.

/** `{ view, parameters, query }` of the part of the address behind `#`. */
export function parseLocation(hash) {
  if (hash.startsWith("#q=")) hash = `#/queries?${hash.slice(1)}`; // short, to be typed
  const mark = hash.indexOf("?");
  const [, view = "tables", ...rest] = (mark < 0 ? hash : hash.slice(0, mark)).split("/");
  return { view, parameters: rest.map(decode), query: new URLSearchParams(mark < 0 ? "" : hash.slice(mark + 1)) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const FILTER = "filter.";

/** How a table is looked at. `sort` names a column; `filters` has a text for each column that has one. */
export const plainLook = () => ({ sort: undefined, isDescending: false, page: 0, firstColumn: 0, search: "", filters: new Map() });

/** Whatever is wrong in an address that people type is left out. */
export function lookOf(query) {
  const look = plainLook();
  const sort = query.get("sort");
  if (sort) Object.assign(look, { sort: sort.replace(/^-/, ""), isDescending: sort.startsWith("-") });
  look.page = countOf(query.get("page"));
  look.firstColumn = countOf(query.get("column"));
  look.search = query.get("search") ?? "";
  for (const [name, text] of query) if (name.startsWith(FILTER) && text !== "") look.filters.set(name.slice(FILTER.length), text);
  return look;
}

/** From 1 in the address, from 0 here. */
const countOf = (text) => (/^\d{1,9}$/.test(text ?? "") ? Math.max(0, Number(text) - 1) : 0);

/** The address of a table, as it is looked at. */
export function tableAddress(name, tab = "rows", look = plainLook()) {
  const query = new URLSearchParams();
  if (look.sort !== undefined) query.set("sort", `${look.isDescending ? "-" : ""}${look.sort}`);
  if (look.page > 0) query.set("page", look.page + 1);
  if (look.firstColumn > 0) query.set("column", look.firstColumn + 1);
  if (look.search !== "") query.set("search", look.search);
  for (const [column, text] of look.filters) if (text !== "") query.set(FILTER + column, text);
  return `#/tables/${encodeURIComponent(name)}/${tab}${query.size > 0 ? `?${query}` : ""}`;
}
