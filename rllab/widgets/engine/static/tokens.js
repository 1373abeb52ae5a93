// Token chips and candidate bars.

/** @import { Bar, Chip as ChipSpec, Drawn, Kinds, On, Props, Spec } from "./specs.d.ts" */
import { classes, html } from "./html.js";
import { Choice, oneTabStop, rove } from "./input.js";
import { Component, createRef } from "./vendor/preact.js";
import { running } from "./words.js";

/** @extends {Component<Props<"chips">>} */
class Chips extends Component {
  strip = /** @type {Drawn} */ (createRef());
  list = /** @type {Drawn} */ (createRef());
  /** @type {Choice<number | null>} */
  choice = new Choice(this, 60);

  options = () => /** @type {HTMLElement[]} */ ([...this.list.current.children]);

  componentDidMount() {
    this.componentDidUpdate(null);
  }

  /** @param {Props<"chips"> | null} before */
  componentDidUpdate(before) {
    const { spec } = this.props;
    oneTabStop(this.options(), this.choice.or(spec.selected) ?? 0);
    const moved = spec.selected !== before?.spec.selected || spec.items.length !== before?.spec.items.length;
    if (moved && spec.selected !== null) showInside(this.strip.current, this.options()[spec.selected]);
  }

  /** @param {On<MouseEvent>} event */
  click(event) {
    const place = this.options().findIndex((option) => option.contains(event.target));
    if (place < 0) return;
    this.options()[place].focus();
    this.choice.make(place);
  }

  /** @param {On<KeyboardEvent>} event */
  key(event) {
    rove(event, this.options(), (place) => this.choice.make(place));
  }

  render({ name, spec } = this.props) {
    const selected = this.choice.or(spec.selected);
    const places = spec.next ? [...spec.items, { t: "?", a: spec.next, next: true }] : spec.items;
    return html`
      <div class="strip" data-key=${name} ref=${this.strip}>
        <span class="flat" role="group" aria-label="Prompt">
          ${spec.prompt.map((text) => html`<span class="chip prompt"><bdi>${text}</bdi><small /></span>`)}
        </span>
        <span class="flat" role="listbox" aria-orientation="horizontal" aria-label=${spec.label} ref=${this.list}
          onClick=${(/** @type {On<MouseEvent>} */ event) => this.click(event)}
          onKeyDown=${(/** @type {On<KeyboardEvent>} */ event) => this.key(event)}>
          ${places.map((item, at) => html`
            <${Chip} look=${chipLook(item)} name=${chipName(spec, item, at)} text=${item.t} number=${item.n}
              selected=${at === selected} />`)}
        </span>
      </div>`;
  }
}

/**
 * One token. Of hundreds in a line, only those that have changed are looked at again.
 * @extends {Component<Record<"look" | "name" | "text" | "number" | "selected", any>>}
 */
class Chip extends Component {
  /** @param {Record<string, unknown>} next */
  shouldComponentUpdate(next) {
    const now = /** @type {Record<string, unknown>} */ (this.props);
    return Object.keys(next).some((name) => next[name] !== now[name]);
  }

  render({ look, name, text, number, selected } = this.props) {
    return html`
      <span class=${look} role="option" tabindex="-1" aria-label=${name} aria-selected=${String(selected)}>
        <bdi>${text}</bdi><small>${number}</small>
      </span>`;
  }
}

/** @param {ChipSpec} chip */
export function chipLook(chip) {
  const tint = chip.i && `${chip.i > 0 ? "up" : "down"}${Math.abs(chip.i)}`;
  return classes("chip", tint, chip.f && "forced", chip.next && "next");
}

/**
 * Return a chip's own name, or one made of what it shows: a long line need not send hundreds of them.
 * @param {Pick<Spec<"chips">, "quantity">} spec
 * @param {ChipSpec} chip
 * @param {number} at
 */
export function chipName(spec, chip, at) {
  if (chip.a || !spec.quantity) return chip.a || chip.t;
  return `token ${at + 1}, ${chip.t}${chip.f ? ", written by you" : ""}, ${spec.quantity} ${chip.n}`;
}

/**
 * Scroll the strip, never the page, until the chip is in sight.
 * @param {HTMLElement} strip
 * @param {HTMLElement | undefined} chip
 */
function showInside(strip, chip) {
  if (!chip) return;
  const top = chip.offsetTop - strip.offsetTop;
  if (top < strip.scrollTop) strip.scrollTop = top;
  const bottom = top + chip.offsetHeight + 4;
  if (bottom > strip.scrollTop + strip.clientHeight) strip.scrollTop = bottom - strip.clientHeight;
}

/** @extends {Component<Props<"bars">>} */
class Bars extends Component {
  list = /** @type {Drawn} */ (createRef());

  buttons = () => /** @type {HTMLElement[]} */ ([...this.list.current.children]);

  componentDidMount() {
    oneTabStop(this.buttons(), 0);
  }

  componentDidUpdate() {
    oneTabStop(this.buttons(), 0);
  }

  render({ name, spec, actions } = this.props) {
    return html`
      <div class="bars" role="group" data-key=${name} aria-label=${spec.label}>
        <div class="bars-list" ref=${this.list}
          onKeyDown=${(/** @type {On<KeyboardEvent>} */ event) => rove(event, this.buttons())}>
          ${spec.items.map((item) => html`
            <button class="bar" type="button" tabindex="-1" aria-label=${item.name || null}
              onClick=${() => actions.set(item.value)}>${bar(item)}</button>`)}
        </div>
        ${spec.rest && html`<div class="bar rest" aria-label=${spec.rest.name || null}>${bar(spec.rest)}</div>`}
      </div>`;
  }
}

const percent = (share = 0) => `${100 * share}%`;

/** @param {Bar} item */
const bar = (item) => html`
  <bdi class="bar-label" title=${item.label.length > 16 ? item.label : null}>${item.label}</bdi>
  <span class="track" aria-hidden="true">
    <i class="fill" style=${{ width: percent(item.width) }} />
    <i class="inner" hidden=${item.inner === undefined} style=${{ width: percent(item.inner) }} />
    <i class="tick" hidden=${item.tick === undefined} style=${{ left: percent(item.tick) }} />
  </span>
  <span class="number">${item.number}</span>
  <span class="extra" hidden=${!item.extra.length}>${running(item.extra)}</span>`;

/** @satisfies {Partial<Kinds>} */
export const TOKENS = {
  chips: Chips,
  bars: Bars,
  legend: ({ name, spec }) => html`
    <div class="legend" data-key=${name}>
      ${spec.items.map(([look, words]) => html`
        <span class="legend-item"><span class=${`chip sample ${look}`} /><span>${words}</span></span>`)}
    </div>`,
};
