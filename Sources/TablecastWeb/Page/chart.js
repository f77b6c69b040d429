// A small chart of a result: bars, or lines. The first column with texts names the places, or else the first column is their x; the
// other numbers are the series, keys apart.

import { el, svg } from "./dom.js";
import { count, displayName, valueText } from "./format.js";

const HEIGHT = 170;
const MARGIN = { top: 10, right: 12, bottom: 24, left: 56 };
const MOST_SERIES = 4;
const MOST_BARS = 60;
const MOST_POINTS = 2_000;
const LABEL_WIDTH = 70;

export class Chart {
  #kind = "";
  #frame = el("div.chart", { hidden: true });
  #rows = [];
  #columns = [];
  #key = [];

  constructor() {
    this.element = this.#frame;
    new ResizeObserver(() => this.#draw()).observe(this.#frame);
  }

  /** @param kind `bars`, `line`, or empty for none */
  set kind(kind) {
    this.#kind = kind;
    this.#frame.hidden = kind === "";
    this.#draw();
  }

  /** @param key the columns that identify a row */
  draw(columns, rows, key = []) {
    this.#columns = columns;
    this.#key = key;
    this.#rows = rows;
    this.#draw();
  }

  #draw() {
    const width = this.#frame.clientWidth;
    if (this.#kind === "" || width === 0) return;
    const { x, series } = seriesOf(this.#columns, this.#rows, this.#key);
    if (series.length === 0) return void this.#frame.replaceChildren(el("p.quiet", "A chart needs a column of numbers."));
    const most = this.#kind === "bars" ? MOST_BARS : MOST_POINTS;
    const rows = this.#rows.slice(0, most);
    const plot = { width: Math.max(1, width - MARGIN.left - MARGIN.right), height: HEIGHT - MARGIN.top - MARGIN.bottom };
    const values = rows.flatMap((row) => series.map((name) => number(row[name]))).filter(Number.isFinite);
    const [low, high] = range(values, this.#kind === "bars");
    const y = (value) => MARGIN.top + plot.height * (1 - (value - low) / (high - low));
    const draw = this.#kind === "bars" ? bars : lines;
    const axis = ticks(low, high).map((value) => [
      svg("line.grid", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      svg("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    ]);
    const what = `${series.map(displayName).join(", ")}${x === undefined ? "" : ` by ${displayName(x)}`}`;
    const cut = this.#rows.length > most ? `, the first ${count(most)} of ${count(this.#rows.length)} rows` : "";
    this.#frame.replaceChildren(
      svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${this.#kind === "bars" ? "Bars" : "Lines"}: ${what}${cut}` }, axis.flat(), draw({ rows, x, series, y, plot, low })),
      el("p.quiet.legend", series.map((name, index) => el(`span.series-${index}`, displayName(name))), el("span", cut.replace(/^, /, ""))),
    );
  }
}

function seriesOf(columns, rows, key) {
  const isNumeric = (name) => rows.some((row) => Number.isFinite(number(row[name]))) && rows.every((row) => row[name] === null || Number.isFinite(number(row[name])));
  const numeric = columns.filter(isNumeric);
  const x = columns.find((name) => rows.some((row) => typeof row[name] === "string")) ?? columns[0];
  const others = numeric.filter((name) => name !== x);
  if (others.length === 0) return { x: undefined, series: numeric };
  const figures = others.filter((name) => !key.includes(name));
  return { x, series: (figures.length > 0 ? figures : others).slice(0, MOST_SERIES) };
}

const number = (value) => (typeof value === "number" || typeof value === "bigint" ? Number(value) : Number.NaN);

function range(values, fromZero) {
  let low = fromZero ? 0 : Infinity;
  let high = fromZero ? 0 : -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low < high ? [low, high] : [low - 1, low + 1];
}

function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 2));
  const wide = [5, 2, 1].map((factor) => factor * step).find((each) => (high - low) / each >= 2) ?? step;
  const found = [];
  for (let value = Math.ceil(low / wide) * wide; value <= high && found.length < 12; value += wide) found.push(value);
  return found;
}

const compactNumbers = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const short = (value) => compactNumbers.format(value);

function bars({ rows, x, series, y, plot, low }) {
  const slot = plot.width / rows.length;
  const width = Math.max(1, (slot * 0.8) / series.length);
  const every = Math.max(1, Math.ceil((LABEL_WIDTH * rows.length) / plot.width));
  return rows.flatMap((row, place) => {
    const left = MARGIN.left + slot * place + slot * 0.1;
    const name = x === undefined ? count(place + 1) : valueText(row[x]);
    const drawn = series.map((column, index) => {
      const value = number(row[column]);
      if (!Number.isFinite(value)) return undefined;
      const [top, bottom] = [y(Math.max(value, 0)), y(Math.max(low, Math.min(value, 0)))];
      return svg(`rect.series-${index}`, { x: left + width * index, y: top, width, height: Math.max(1, bottom - top) }, svg("title", `${name}: ${valueText(row[column])}`));
    });
    const label = place % every === 0 && svg("text", { x: left + slot * 0.4, y: HEIGHT - 8, "text-anchor": "middle" }, name.slice(0, Math.max(4, Math.floor((slot * every) / 7))));
    return [...drawn, label];
  });
}

function lines({ rows, x, series, y, plot }) {
  const isOverNumbers = x !== undefined && rows.every((row) => Number.isFinite(number(row[x])));
  const places = rows.map((row, place) => (isOverNumbers ? number(row[x]) : place));
  const [low, high] = range(places, false);
  const left = (place) => MARGIN.left + (plot.width * (place - low)) / (high - low);
  const order = rows.map((_, index) => index).sort((one, other) => places[one] - places[other]);
  const name = (index) => (x === undefined ? count(index + 1) : valueText(rows[index][x]));
  const ends = order.length > 0 ? [...new Set([order[0], order.at(-1)])] : [];
  const labels = ends.map((index, end) => svg("text", { x: left(places[index]), y: HEIGHT - 8, "text-anchor": end === 0 ? "start" : "end" }, name(index).slice(0, 24)));
  return [
    ...labels,
    ...series.map((column, index) => {
      let path = "";
      let isDown = false;
      for (const place of order) {
        const value = number(rows[place][column]);
        if (Number.isFinite(value)) path += `${isDown ? "L" : "M"}${left(places[place]).toFixed(1)} ${y(value).toFixed(1)}`;
        isDown = Number.isFinite(value); // NULL is a gap
      }
      return svg(`path.series-${index}`, { d: path });
    }),
  ];
}
