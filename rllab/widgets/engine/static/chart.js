// Plotly figures: drawn with the page's one plotly.js, in the colours of the page's theme.

const PICTURES = {
  chart: (ctx) => {
    const el = make("div", "chart");
    const picture = make("div", "picture", { role: "img" });
    const table = makeChartTable();
    const toggle = make("button", "quiet chart-toggle", { type: "button", "aria-expanded": "false" });
    toggle.textContent = "Show as table";
    toggle.addEventListener("click", () => {
      table.el.hidden = !table.el.hidden;
      put(toggle, "aria-expanded", String(!table.el.hidden));
      toggle.textContent = table.el.hidden ? "Show as table" : "Hide the table";
      if (!table.el.hidden) table.draw(spec);
    });
    el.append(picture, toggle, table.el);
    let spec = null;
    let plotly = null;
    let seen = null;
    const without = () => {
      write(picture, "The chart library has not loaded. The table shows the same numbers.");
      if (table.el.hidden) toggle.click();
    };
    const waiting = setTimeout(without, LIBRARY_PATIENCE);
    const draw = () => plotly && spec && drawChart(plotly, picture, spec, ctx);
    waitForPlotly().then(
      (library) => {
        clearTimeout(waiting);
        picture.replaceChildren();
        plotly = library;
        ctx.theme(draw);
        draw();
        const fit = throttled(100, () => picture.isConnected && picture.clientWidth && plotly.Plots.resize(picture));
        ctx.observe(picture, fit);
        // what was drawn out of sight, while the page was changing, may have another width than its place
        seen = new IntersectionObserver(() => Math.abs(picture._fullLayout?.width - picture.clientWidth) > 1 && fit());
        seen.observe(picture);
      },
      () => {
        clearTimeout(waiting);
        without();
      },
    );
    return {
      el,
      update: (next) => {
        spec = next;
        put(picture, "aria-label", spec.alt);
        picture.style.height = `${spec.height}px`;
        if (!table.el.hidden) table.draw(spec);
        draw();
      },
      destroy: () => {
        clearTimeout(waiting);
        seen?.disconnect();
        if (plotly) plotly.purge(picture);
      },
    };
  },
};

const LIBRARY_PATIENCE = 15000; // milliseconds: what a proxy has swallowed never comes, and nothing says so

function waitForPlotly() {
  const place = (globalThis.rllabShared ??= {});
  if (!place.plotly) {
    place.plotly = new Promise((resolve, reject) => Object.assign(place, { resolve, reject }));
    place.plotly.catch(() => {});
  }
  return place.plotly;
}

const CHART_OPTIONS = { displayModeBar: false, displaylogo: false, responsive: false, doubleClick: "reset" };

function drawChart(plotly, picture, spec, ctx) {
  const dark = isDark(picture);
  const layout = { ...spec.figure.layout, template: TEMPLATE, height: spec.height, autosize: true, uirevision: ctx.uid };
  const first = !picture.rllabClicks;
  plotly.react(picture, recolour(spec.figure.data, dark), recolour(layout, dark), CHART_OPTIONS);
  if (!first) return;
  picture.rllabClicks = true;
  picture.on("plotly_click", (event) => {
    const point = event.points[0];
    ctx.set({ curve: point.curveNumber, point: point.pointNumber });
  });
}

function isDark(element) {
  return getComputedStyle(element).getPropertyValue("--rllab-dark").trim() === "1";
}

const DARK = new Map(Object.values(ROLES).map(([light, dark]) => [light, dark]));
const DARK_TRIPLES = new Map(Object.values(ROLES).map(([light, dark]) => [triple(light), triple(dark)]));

function triple(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",");
}

/** A copy of a figure with every role's colour in its dark form; in light only the copy is made. */
function recolour(value, dark) {
  if (Array.isArray(value)) return value.map((item) => recolour(item, dark));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, recolour(item, dark)]));
  }
  if (!dark || typeof value !== "string") return value;
  const faded = /^rgba\((\d+,\d+,\d+),([\d.]+)\)$/.exec(value);
  if (faded && DARK_TRIPLES.has(faded[1])) return `rgba(${DARK_TRIPLES.get(faded[1])},${faded[2]})`;
  return DARK.get(value) ?? value;
}

function makeChartTable() {
  const el = make("div", "table chart-table", { tabindex: 0, role: "region", "aria-label": "The chart as a table" });
  const table = make("table");
  const thead = make("thead");
  const head = make("tr");
  const body = make("tbody");
  thead.append(head);
  table.append(thead, body);
  el.append(table);
  el.hidden = true;
  return {
    el,
    draw: (spec) => {
      const { columns, rows } = asTable(spec.figure);
      fillTable(head, body, columns, rows);
    },
  };
}

/** The numbers of a figure: one row per place on the x axis, one column per line that is not mere decoration. */
function asTable(figure) {
  const map = figure.data.find((trace) => trace.hoverinfo !== "skip" && Array.isArray(trace.z));
  if (map) return mapAsTable(figure, map);
  const lies = (trace) => trace.orientation === "h"; // bars that lie have their places on the y axis
  const traces = figure.data
    .filter((trace) => trace.hoverinfo !== "skip" && Array.isArray(trace.y))
    .map((trace) => (lies(trace) ? { ...trace, x: trace.y, y: trace.x } : trace));
  const axis = (figure.data.some(lies) ? figure.layout.yaxis : figure.layout.xaxis) ?? {};
  const names = new Map((axis.tickvals ?? []).map((value, index) => [value, plainText(axis.ticktext?.[index] ?? value)]));
  const place = (trace, index) => trace.x?.[index] ?? (trace.x0 ?? 0) + index;
  const places = [...new Set(traces.flatMap((trace) => trace.x ?? trace.y.map((_, index) => place(trace, index))))];
  if (places.every((place) => typeof place === "number")) places.sort((a, b) => a - b);
  const columns = [
    { title: plainText(axis.title?.text ?? "x") },
    ...traces.map((trace) => ({ title: plainText(trace.name ?? "y"), numeric: true })),
  ];
  const lookup = traces.map((trace) => new Map(trace.y.map((y, index) => [place(trace, index), y])));
  const rows = places.map((place) => [
    { text: names.get(place) ?? shortNumber(place) },
    ...lookup.map((line) => ({ text: line.has(place) ? shortNumber(line.get(place)) : "" })),
  ]);
  return { columns, rows };
}

/** A map is a table already: what is written in a cell, or else its number; nothing where there is no cell. */
function mapAsTable(figure, map) {
  const across = map.x ?? map.z[0].map((_, index) => index + 1);
  const cell = (value, row, column) => map.text?.[row]?.[column] || (value === null ? "" : shortNumber(value));
  const columns = [
    { title: plainText(figure.layout.yaxis?.title?.text || "row") },
    ...across.map((name) => ({ title: plainText(name), numeric: true })),
  ];
  const rows = map.z.map((line, row) => [
    { text: plainText(map.y?.[row] ?? row + 1) },
    ...line.map((value, column) => ({ text: plainText(cell(value, row, column)) })),
  ]);
  return { columns, rows };
}

function shortNumber(value) {
  if (value === null || value === undefined) return "not a number";
  if (typeof value !== "number") return plainText(value);
  const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  return text.replace("-", "\u2212");
}

/** Text as it was before it was made safe for plotly. */
function plainText(text) {
  return String(text)
    .replace(/<br>|<\/?[bi]>/g, " ")
    .replace(/[\u2068\u2069]/g, "")
    .replace(/&(lt|gt|#36|#123|amp);/g, (_, name) => ({ lt: "<", gt: ">", "#36": "$", "#123": "{", amp: "&" })[name]);
}
