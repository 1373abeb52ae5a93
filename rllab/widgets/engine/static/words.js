// Components made of words: containers, titles, the reading, badges, progress, tables.

/** @import { Kinds, Props, Span, TableSpec } from "./specs.d.ts" */
import { classes, html, newId } from "./html.js";
import { Component } from "./vendor/preact.js";

/**
 * Running text: plain, bold, toned, or a term that explains itself.
 * @param {Span[]} spans
 */
export const running = (spans) => spans.map((span) => {
  if (span.tip) return html`<${Term} word=${span.text} tip=${span.tip} />`;
  const tone = span.tone ? `tone-${span.tone}` : null;
  return html`<${span.bold ? "b" : "span"} class=${tone}><bdi>${span.text}</bdi><//>`;
});

/** @extends {Component<{ word: string, tip: string }>} */
class Term extends Component {
  id = newId();

  render({ word, tip } = this.props) {
    return html`
      <span class="term">
        <button class="term-word" type="button" aria-describedby=${this.id}>${word}</button>
        <span class="term-tip" role="tooltip" id=${this.id}>${tip}</span>
      </span>`;
  }
}

/** @extends {Component<Props<"fold">, { open: boolean }>} */
class Fold extends Component {
  id = newId();
  state = { open: Boolean(this.props.spec.open) };

  render({ name, spec, children } = this.props, { open } = this.state) {
    return html`
      <div class="fold" data-key=${name}>
        <button class="quiet" type="button" aria-controls=${this.id} aria-expanded=${String(open)}
          onClick=${() => this.setState({ open: !open })}>${spec.label}</button>
        <div class="fold-inside" id=${this.id} hidden=${!open}>${children}</div>
      </div>`;
  }
}

/**
 * A table of running text.
 * @param {TableSpec} spec
 */
export function Table({ caption, columns, rows }) {
  const look = columns.map((column) => (column.numeric ? "number" : null));
  return html`
    <table>
      ${caption !== undefined && html`<caption>${caption}</caption>`}
      <thead><tr>${columns.map(({ title }, at) => html`<th scope="col" class=${look[at]}>${title}</th>`)}</tr></thead>
      <tbody>
        ${rows.map((cells) => html`
          <tr>${cells.map((cell, at) => html`<td class=${look[at]}>${running([cell])}</td>`)}</tr>`)}
      </tbody>
    </table>`;
}

/** @satisfies {Partial<Kinds>} */
export const WORDS = {
  panel: ({ name, children }) => html`<div class="body" data-key=${name}>${children}</div>`,

  head: ({ name, spec, children }) => html`
    <div class="head" data-key=${name}><h2>${spec.title}</h2>${children}</div>`,

  row: ({ name, spec, children }) => html`
    <div class=${classes("row", spec.end && "end")} data-key=${name}>${children}</div>`,

  columns: ({ name, spec, children }) => html`
    <div class=${classes("columns", spec.three && "three", spec.pair && "pair")} data-key=${name}>${children}</div>`,

  group: ({ name, spec, children }) => html`
    <div class="group" data-key=${name}>${spec.title && html`<h3>${spec.title}</h3>`}${children}</div>`,

  fold: Fold,

  heading: ({ name, spec }) => html`<h3 data-key=${name}>${running(spec.spans)}</h3>`,

  note: ({ name, spec }) => html`
    <p class="note" data-key=${name} hidden=${!spec.spans.some((span) => span.text)}>${running(spec.spans)}</p>`,

  prose: ({ name, spec }) => html`<p class="prose" data-key=${name}>${running(spec.spans)}</p>`,

  passage: ({ name, spec }) => html`
    <div class="passage" data-key=${name} role="group" tabindex="0" dir="auto" aria-label=${spec.label}>${spec.text}</div>`,

  reading: ({ name, spec }) => html`
    <div class="reading" data-key=${name} role="status" aria-live=${spec.live ? "polite" : "off"}
      hidden=${!spec.spans.length}>${running(spec.spans)}</div>`,

  finding: ({ name, spec }) => html`
    <div class=${classes("finding", spec.good && "good")} data-key=${name}>${running(spec.spans)}</div>`,

  alert: ({ name, spec }) => html`<div class="alert" data-key=${name} role="alert">${spec.text || null}</div>`,

  badges: ({ name, spec }) => html`
    <div class="badges" data-key=${name} hidden=${!spec.badges.length}>
      ${spec.badges.map((badge) => html`<span class=${`badge ${badge.kind}`}>${badge.text}</span>`)}
    </div>`,

  ring: ({ name, spec }) => html`
    <ol class="ring" data-key=${name} aria-label="Where we are in the loop">
      ${spec.stages.map((stage) => html`<li aria-current=${stage === spec.active ? "step" : null}>${stage}</li>`)}
    </ol>`,

  progress: ({ name, spec }) => html`
    <div class="run-progress" data-key=${name} hidden=${!spec.text}>
      <progress aria-label=${spec.label} max=${spec.total || 1} value=${spec.total ? spec.done : null} />
      <span>${spec.text}</span>
    </div>`,

  table: ({ name, spec }) => html`<div class="table" data-key=${name}><${Table} ...${spec} /></div>`,
};
