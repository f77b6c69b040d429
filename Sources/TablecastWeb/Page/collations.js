// The collations of a table's columns, which SQLite reports only in the SQL.

const TOKEN = /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[(),]|[^\s(),'"`[]+/g;
const COMPARED_OTHERWISE = new Set(["NOCASE", "RTRIM"]);

/** The columns that a `CREATE TABLE` gives another collation than BINARY: `NOCASE` or `RTRIM` by the column's name. */
export function collations(sql) {
  const found = new Map();
  let depth = 0;
  let column;
  let isCollation = false;
  for (const [token] of (sql ?? "").matchAll(TOKEN)) {
    if (token.startsWith("--") || token.startsWith("/*")) continue;
    if (token === "(") depth += 1;
    else if (token === ")") depth -= 1;
    else if (depth !== 1) continue; // of an expression, or before the columns
    else if (token === ",") column = undefined;
    else if (column === undefined) column = unquoted(token);
    else if (isCollation && COMPARED_OTHERWISE.has(unquoted(token).toUpperCase())) found.set(column, unquoted(token).toUpperCase());
    isCollation = token.toUpperCase() === "COLLATE";
  }
  return found;
}

function unquoted(token) {
  const [quote] = token;
  if (quote === "[") return token.slice(1, -1);
  return `"'\``.includes(quote) ? token.slice(1, -1).replaceAll(quote + quote, quote) : token;
}
