// What is done with a figure before it is drawn: the colours of the page's theme, and the same numbers as a table.

/** @import { Column, Figure, Look, Span, Trace } from "./specs.d.ts" */

/**
 * Return a function that copies a figure with the colour of every role in its dark form.
 * @param {Look["roles"]} roles
 */
export function darkener(roles) {
  const pairs = Object.values(roles);
  const solid = new Map(pairs);
  const faded = new Map(pairs.map(([light, dark]) => [triple(light), triple(dark)]));
  /** @type {(value: any) => any} */
  const darken = (value) => {
    if (Array.isArray(value)) return value.map(darken);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, darken(item)]));
    }
    if (typeof value !== "string") return value;
    const [, colour, alpha] = /^rgba\((\d+,\d+,\d+),([\d.]+)\)$/.exec(value) ?? [];
    return faded.has(colour) ? `rgba(${faded.get(colour)},${alpha})` : (solid.get(value) ?? value);
  };
  return darken;
}

/** @param {string} hex */
function triple(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",");
}

/**
 * Return the numbers of a figure: one row per place on the x axis, one column per line that is not mere decoration.
 * @param {Figure} figure
 * @returns {{ columns: Column[], rows: Span[][] }}
 */
export function asTable(figure) {
  const shown = figure.data.filter((trace) => trace.hoverinfo !== "skip");
  const map = shown.find((trace) => Array.isArray(trace.z));
  return map ? mapAsTable(figure, map) : linesAsTable(figure, shown.filter((trace) => Array.isArray(trace.y)));
}

/**
 * @param {Figure} figure
 * @param {Trace[]} traces
 */
function linesAsTable(figure, traces) {
  const lying = traces.some((trace) => trace.orientation === "h"); // such bars have their places on the y axis
  const axis = (lying ? figure.layout.yaxis : figure.layout.xaxis) ?? {};
  const names = new Map(axis.tickvals?.map((value, index) => [value, plainText(axis.ticktext?.[index] ?? value)]));
  const lines = traces.map(({ name, orientation, x, y = [], x0 = 0 }) => {
    const [places, numbers] = orientation === "h" ? [y, x ?? []] : [x ?? y.map((_, index) => x0 + index), y];
    return { title: plainText(name ?? "y"), numbers: new Map(numbers.map((number, index) => [places[index], number])) };
  });
  const places = [...new Set(lines.flatMap((line) => [...line.numbers.keys()]))];
  if (places.every((place) => typeof place === "number")) places.sort((a, b) => a - b);
  const columns = [
    { title: plainText(axis.title?.text ?? "x") },
    ...lines.map(({ title }) => ({ title, numeric: true })),
  ];
  const rows = places.map((place) => [
    { text: names.get(place) ?? shortNumber(place) },
    ...lines.map(({ numbers }) => ({ text: numbers.has(place) ? shortNumber(numbers.get(place)) : "" })),
  ]);
  return { columns, rows };
}

/**
 * A map is a table already: what is written in a cell, or else its number; nothing where there is no cell.
 * @param {Figure} figure
 * @param {Trace} map
 */
function mapAsTable(figure, { x, y, z = [], text }) {
  const across = x ?? z[0].map((_, index) => index + 1);
  const columns = [
    { title: plainText(figure.layout.yaxis?.title?.text || "row") },
    ...across.map((name) => ({ title: plainText(name), numeric: true })),
  ];
  const rows = z.map((line, row) => [
    { text: plainText(y?.[row] ?? row + 1) },
    ...line.map((value, column) => ({
      text: plainText(text?.[row]?.[column] || (value === null ? "" : shortNumber(value))),
    })),
  ]);
  return { columns, rows };
}

/** @param {unknown} value */
export function shortNumber(value) {
  if (value === null || value === undefined) return "not a number";
  if (typeof value !== "number") return plainText(value);
  const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  return text.replace("-", "\u2212");
}

/** @type {Record<string, string>} */
const CHARACTERS = { lt: "<", gt: ">", "#36": "$", "#123": "{", amp: "&" };

/**
 * Return text as it was before it was made safe for plotly.
 * @param {unknown} text
 */
export function plainText(text) {
  return String(text)
    .replace(/<br>|<\/?[bi]>/g, " ")
    .replace(/[\u2068\u2069]/g, "")
    .replace(/&(lt|gt|#36|#123|amp);/g, (_, name) => CHARACTERS[name]);
}
