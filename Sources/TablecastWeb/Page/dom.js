// Building elements. Text only ever becomes text: nothing here, or elsewhere in the page, parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** `el("a.link", { href, onclick, "aria-label": … }, "text", child)`; false, null and undefined are left out. */
export function el(selector, ...parts) {
  const [tag, ...classes] = selector.split(".");
  return fill(document.createElement(tag || "div"), classes, parts);
}

export function svg(selector, ...parts) {
  const [tag, ...classes] = selector.split(".");
  return fill(document.createElementNS(SVG, tag), classes, parts);
}

function fill(element, classes, parts) {
  if (classes.length > 0) element.classList.add(...classes);
  for (const part of parts.flat()) {
    if (part === null || part === undefined || part === false) continue;
    if (part instanceof Node || typeof part !== "object") element.append(part);
    else setAttributes(element, part);
  }
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Sets text only where it differs, so that unchanged parts cost no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** An icon of the page's own set, drawn in the colour of the text around it. */
export function icon(name) {
  return svg(`svg.icon`, { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

const ICONS = {
  table: "M2 3.5h12v9H2zM2 6.5h12M6 6.5v6",
  view: "M1.5 8s2.4-4 6.5-4 6.5 4 6.5 4-2.4 4-6.5 4-6.5-4-6.5-4zM8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z",
  virtual: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3l3.7 3.7",
  back: "M9.5 3 4.5 8l5 5",
  next: "M6.5 3l5 5-5 5",
  follow: "M5 11l6-6M6 5h5v5",
  filter: "M2 3.5h12L9.5 9v4l-3-1.5V9z",
  plus: "M8 3v10M3 8h10",
  undo: "M6 3 2.5 6.5 6 10M3 6.5h6a4 4 0 0 1 0 8H7",
  trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9",
  run: "M4.5 3v10l8-5z",
  stop: "M4 4h8v8H4z",
  down: "M8 2.5v8M4.5 7.5 8 11l3.5-3.5M3 13.5h10",
  pause: "M5 3.5v9M11 3.5v9",
  close: "M4 4l8 8M12 4l-8 8",
  pen: "M3 13l.6-2.8 7.4-7.4 2.2 2.2-7.4 7.4zM9.6 4.2l2.2 2.2",
};
