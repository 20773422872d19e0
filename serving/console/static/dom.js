// Elements without markup: texts are only ever texts here, whoever they come from.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `properties`: `class`, `onclick` and other listeners, attributes; null and false leave one out. */
export function make(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same within an SVG picture. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A table that folds into blocks where there is little room. `columns`: [heading, class?]; `rows`: lists of cells. */
export function table(caption, columns, rows) {
  const head = columns.map(([text, kind]) => make("th", {scope: "col", class: kind, role: "columnheader"}, text));
  const body = rows.map((cells) => make("tr", {role: "row"}, cells.map((cell, index) =>
    make("td", {class: columns[index][1], role: "cell", "data-label": columns[index][0]}, make("div", {}, cell)))));
  return make("table", {class: "folding", role: "table"},
    make("caption", {class: "visually-hidden"}, caption),
    make("thead", {role: "rowgroup"}, make("tr", {role: "row"}, head)), make("tbody", {role: "rowgroup"}, body));
}

export const loading = (what) => make("p", {class: "loading", role: "status"}, what);

export const empty = (title, text) => make("div", {class: "empty"}, make("strong", {}, title), text);

/** What went wrong, in the server's own words. */
export const failure = (error) => make("p", {class: "notice bad", role: "alert"}, error.message);
