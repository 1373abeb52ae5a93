// Plotly figures: drawn with the page's one plotly.js, in the colours of the page's theme.

/** @import { Drawn, Kinds, Props } from "./specs.d.ts" */
import { asTable, darkener } from "./figure.js";
import { html, newId } from "./html.js";
import { throttled } from "./input.js";
import { Component, createRef } from "./vendor/preact.js";
import { Table } from "./words.js";

const PATIENCE = 15000; // milliseconds: what a proxy has swallowed never comes, and nothing says so
const OPTIONS = { displayModeBar: false, displaylogo: false, responsive: false, doubleClick: "reset" };
const THEME = { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name"] };

/** Return the promise of the page's one plotly.js, which runtime.js or a page without a kernel keeps. */
export function plotlyOfPage() {
  globalThis.rllabShared ??= {};
  const place = globalThis.rllabShared;
  if (!place.plotly) {
    place.plotly = new Promise((resolve, reject) => Object.assign(place, { resolve, reject }));
    place.plotly.catch(() => {}); // each chart reports it in its own place
  }
  return place.plotly;
}

/** @extends {Component<Props<"chart">, { missing: boolean, open: boolean }>} */
class Chart extends Component {
  id = newId();
  picture = /** @type {Drawn<any>} */ (createRef());
  /** @type {any} */
  plotly = null;
  /** @type {{ disconnect(): void }[]} */
  observers = [];
  state = { missing: false, open: false };

  componentDidMount() {
    const missing = () => this.setState({ missing: true, open: true });
    this.patience = setTimeout(missing, PATIENCE);
    plotlyOfPage().then((library) => this.picture.current && this.start(library), missing);
  }

  /** @param {any} library */
  start(library) {
    clearTimeout(this.patience);
    this.plotly = library;
    const picture = this.picture.current;
    const fit = throttled(100, () => picture.isConnected && picture.clientWidth && library.Plots.resize(picture));
    // what was drawn out of sight, while the page was changing, may have another width than its place
    const misfit = () => Math.abs(picture._fullLayout?.width - picture.clientWidth) > 1;
    const theme = new MutationObserver(() => this.draw());
    const size = new ResizeObserver(() => fit.call(null));
    const sight = new IntersectionObserver(() => misfit() && fit.call(null));
    theme.observe(document.body, THEME);
    size.observe(picture);
    sight.observe(picture);
    this.observers = [theme, size, sight];
    this.setState({ missing: false }, () => this.draw());
  }

  /** @param {Props<"chart">} before */
  componentDidUpdate(before) {
    if (this.plotly && before.spec !== this.props.spec) this.draw();
  }

  componentWillUnmount() {
    clearTimeout(this.patience);
    for (const observer of this.observers) observer.disconnect();
    this.plotly?.purge(this.picture.current);
  }

  draw() {
    const { spec, look, actions } = this.props;
    const picture = this.picture.current;
    const own = { template: look.template, height: spec.height, autosize: true, uirevision: this.id };
    const figure = { data: spec.figure.data, layout: { ...spec.figure.layout, ...own } };
    const dark = getComputedStyle(picture).getPropertyValue("--rllab-dark").trim() === "1";
    // plotly writes into what it is given, so in light, too, it gets a copy
    const { data, layout } = dark ? darkener(look.roles)(figure) : structuredClone(figure);
    const first = !picture.on;
    this.plotly.react(picture, data, layout, OPTIONS);
    if (!first) return;
    picture.on("plotly_click", (/** @type {{ points: { curveNumber: number, pointNumber: number }[] }} */ event) => {
      const { curveNumber, pointNumber } = event.points[0];
      actions.set({ curve: curveNumber, point: pointNumber });
    });
  }

  render({ name, spec } = this.props, { missing, open } = this.state) {
    return html`
      <div class="chart" data-key=${name}>
        <div class="picture" role="img" aria-label=${spec.alt} style=${{ height: `${spec.height}px` }} ref=${this.picture}>
          ${missing && "The chart library has not loaded. The table shows the same numbers."}
        </div>
        <button class="quiet chart-toggle" type="button" aria-expanded=${String(open)}
          onClick=${() => this.setState({ open: !open })}>${open ? "Hide the table" : "Show as table"}</button>
        <div class="table chart-table" tabindex="0" role="region" aria-label="The chart as a table" hidden=${!open}>
          ${open && html`<${Table} ...${asTable(spec.figure)} />`}
        </div>
      </div>`;
  }
}

/** @satisfies {Partial<Kinds>} */
export const CHARTS = { chart: Chart };
