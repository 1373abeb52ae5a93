// Components that the learner acts on: buttons, boxes, lists, sliders, answers to choose.

/** @import { Drawn, Kinds, MarkName, On, Props } from "./specs.d.ts" */
import { classes, html, newId } from "./html.js";
import { Choice } from "./input.js";
import { Component, createRef } from "./vendor/preact.js";

/**
 * A field's name is always there for a screen reader, and on the screen where it is asked for.
 * @param {Props<"text" | "select">} props
 */
const Label = ({ spec }) => html`<span class="label" hidden=${!spec.showLabel}>${spec.label}</span>`;

/** @extends {Component<Props<"text">>} */
class Text extends Component {
  box = /** @type {Drawn<HTMLInputElement>} */ (createRef());
  sent = ""; // the last text that Python has heard of, or has set

  componentDidMount() {
    this.box.current.value = this.sent = this.props.spec.value;
  }

  /**
   * What is being typed is the learner's: only a change made by Python replaces it, or the answer to what was sent.
   * @param {Props<"text">} before
   */
  componentDidUpdate(before) {
    const { spec, actions } = this.props;
    const input = this.box.current;
    const changed = spec.value !== before.spec.value && spec.value !== this.sent;
    const idle = input.value === this.sent || input !== document.activeElement;
    if (!changed && (!idle || actions.waiting())) return;
    this.sent = spec.value;
    if (input.value !== spec.value) input.value = spec.value;
  }

  /** Send what was typed; a browser asks for that also while it takes a box with the focus out of the page. */
  commit() {
    const value = this.box.current?.value ?? this.sent;
    if (value === this.sent) return;
    this.sent = value;
    this.props.actions.set(value);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    this.commit();
    if (this.props.spec.enter) this.props.actions.press(this.props.spec.enter);
  }

  render({ name, spec } = this.props) {
    return html`
      <label class=${`field ${spec.small ? "small" : "grow"}`} data-key=${name}>
        <${Label} spec=${spec} />
        <input ref=${this.box} type="text" spellcheck=${false} autocomplete="off" dir="auto" aria-label=${spec.label}
          placeholder=${spec.placeholder || null} inputmode=${spec.small ? "decimal" : null}
          readOnly=${Boolean(spec.disabled)} onChange=${() => this.commit()}
          onKeyDown=${(/** @type {KeyboardEvent} */ event) => this.key(event)} />
      </label>`;
  }
}

/** @extends {Component<Props<"select">>} */
class Select extends Component {
  /** @type {Choice<string>} */
  choice = new Choice(this);

  render({ name, spec } = this.props) {
    return html`
      <label class="field" data-key=${name}>
        <${Label} spec=${spec} />
        <select aria-label=${spec.label} disabled=${Boolean(spec.disabled)} value=${this.choice.or(spec.value)}
          onChange=${(/** @type {On<Event, HTMLSelectElement>} */ event) => this.choice.make(event.target.value)}>
          ${spec.options.map(([value, words]) => html`<option value=${value}>${words}</option>`)}
        </select>
      </label>`;
  }
}

/** @extends {Component<Props<"slider">>} */
class Slider extends Component {
  /** @type {Choice<number>} */
  choice = new Choice(this, 100);

  /** @param {number} at */
  move(at) {
    this.choice.make(at, this.props.spec.options[at][0]);
  }

  render({ name, spec } = this.props) {
    const at = this.choice.or(spec.index);
    const [, words] = spec.options[at] ?? spec.options[0];
    const width = Math.max(...spec.options.map((option) => option[1].length));
    return html`
      <label class="field slider" data-key=${name}>
        <span class="label">${spec.label}</span>
        <input type="range" min="0" step="1" max=${spec.options.length - 1} value=${String(at)} aria-label=${spec.label}
          aria-valuetext=${words} disabled=${Boolean(spec.disabled)}
          onInput=${(/** @type {On<Event, HTMLInputElement>} */ event) => this.move(Number(event.target.value))} />
        <output class="number" style=${{ minWidth: `${width}ch` }}>${words}</output>
      </label>`;
  }
}

/** @extends {Component<Props<"radios">>} */
class Radios extends Component {
  /** @type {Choice<string>} */
  choice = new Choice(this);
  group = newId();

  render({ name, spec } = this.props) {
    const chosen = this.choice.or(spec.value);
    return html`
      <div class="radios" role="radiogroup" data-key=${name} aria-label=${spec.label}>
        ${spec.options.map(([value, words]) => html`
          <label>
            <input type="radio" name=${this.group} value=${value} checked=${value === chosen}
              onChange=${() => this.choice.make(value)} />
            <span>${words}</span>
          </label>`)}
      </div>`;
  }
}

const SIGNS = { "": null, right: "\u2713", wrong: "\u2717" };

/**
 * Right or wrong, by a sign as well as by colour.
 * @param {{ mark: MarkName }} props
 */
export const Mark = ({ mark }) => html`
  <i class="mark" role=${mark ? "img" : null} aria-label=${mark || null}>${SIGNS[mark]}</i>`;

/** @extends {Component<Props<"choices">>} */
class Choices extends Component {
  /** @type {Choice<string[]>} */
  choice = new Choice(this);
  group = newId();

  /**
   * @param {string} value
   * @param {boolean} on
   */
  choose(value, on) {
    const { spec } = this.props;
    const before = this.choice.or(spec.chosen);
    const values = spec.options.map((option) => option.value);
    this.choice.make(spec.many ? values.filter((each) => (each === value ? on : before.includes(each))) : [value]);
  }

  render({ name, spec } = this.props) {
    const chosen = this.choice.or(spec.chosen);
    return html`
      <div class="choices" role=${spec.many ? "group" : "radiogroup"} data-key=${name} aria-label=${spec.label}>
        ${spec.options.map(({ value, text, mark }) => html`
          <label class=${classes("choice", mark)}>
            <input type=${spec.many ? "checkbox" : "radio"} name=${this.group} value=${value}
              checked=${chosen.includes(value)} disabled=${Boolean(spec.disabled)}
              onChange=${(/** @type {On<Event, HTMLInputElement>} */ event) => this.choose(value, event.target.checked)} />
            <span>${text}</span>
            <${Mark} mark=${mark} />
          </label>`)}
      </div>`;
  }
}

/** @satisfies {Partial<Kinds>} */
export const CONTROLS = {
  // aria-disabled instead of disabled: the focus stays where the learner left it
  button: ({ name, spec, actions }) => html`
    <button type="button" class=${spec.main ? "main" : null} data-key=${name} aria-label=${spec.name || null}
      aria-disabled=${spec.disabled ? "true" : null} aria-pressed=${spec.pressed === null ? null : String(spec.pressed)}
      onClick=${() => spec.disabled || actions.press()}>${spec.label}</button>`,
  text: Text,
  select: Select,
  slider: Slider,
  radios: Radios,
  choices: Choices,
};
