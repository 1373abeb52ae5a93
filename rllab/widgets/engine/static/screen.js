// The core: draws a tree of components into an element, and hands what the learner does to a function. It knows nothing
// of kernels and notebooks; panel.js connects it to one.

/** @import { ComponentType } from "./vendor/preact.js" */
/** @import { Actions, Kinds, Look, Message, On, Props, Spec } from "./specs.d.ts" */
import { CARDS } from "./cards.js";
import { CHARTS } from "./chart.js";
import { CONTROLS } from "./controls.js";
import { classes, html, newId } from "./html.js";
import { isCommand } from "./input.js";
import { TOKENS } from "./tokens.js";
import { Component, render } from "./vendor/preact.js";
import { WORDS } from "./words.js";

/** @type {Kinds} */
const KINDS = { ...WORDS, ...CONTROLS, ...TOKENS, ...CARDS, ...CHARTS };

export class Screen {
  id = newId();
  status = { words: "", dead: false };
  /** @type {Map<string, string>} what was sent and has not been answered: sequence name -> component */
  pending = new Map();
  /** @type {Map<string, number>} how many events of a component have been answered */
  answers = new Map();
  count = 0;

  /**
   * @param {HTMLElement} el where to draw; empty
   * @param {object} source
   * @param {(key: string) => any} source.spec returns the description of a component (a Spec), the very same object as
   *   long as it has not changed
   * @param {(message: Required<Message>) => void} source.post takes what the learner does
   * @param {Look} source.look
   */
  constructor(el, { spec, post, look }) {
    this.el = el;
    this.spec = spec;
    this.post = post;
    this.look = look;
  }

  /** The element around everything, once it is drawn. */
  get root() {
    return /** @type {HTMLElement} */ (this.el.firstElementChild);
  }

  /** Draw what is new and what has changed. The focus stays where it is, or at least in the panel. */
  draw() {
    const focused = document.activeElement;
    const hadFocus = this.el.contains(focused);
    const { words, dead } = this.status;
    render(html`
      <section class=${classes("rllab", dead && "dead")} tabindex="-1" aria-label=${this.spec("root")?.title}
        onKeyDown=${(/** @type {On<KeyboardEvent>} */ event) => this.key(event)}>
        ${this.part("root")}
        <div class="kernel-status" role="status">${words || null}</div>
      </section>`, this.el);
    if (!hadFocus || this.el.contains(document.activeElement)) return;
    const next = focused instanceof HTMLElement && this.el.contains(focused) ? focused : this.root;
    next.focus({ preventScroll: true });
  }

  /** @param {string} key */
  part(key) {
    const spec = this.spec(key);
    if (!spec || !(spec.kind in KINDS)) return null;
    return html`<${Part} key=${key} name=${key} spec=${spec} answers=${this.answers.get(key) ?? 0} screen=${this} />`;
  }

  /**
   * Say something about the panel as a whole, below it; `dead` means that its events reach nobody.
   * @param {string} words
   * @param {boolean} dead
   */
  say(words, dead = false) {
    if (words === this.status.words && dead === this.status.dead) return;
    this.status = { words, dead };
    this.draw();
  }

  /**
   * @param {string} key
   * @param {"press" | "set"} event
   * @param {unknown} value
   */
  send(key, event, value = null) {
    this.count += 1;
    const seq = `${this.id}-${this.count}`;
    this.pending.set(seq, key);
    this.post({ key, event, value, stamp: this.spec(key)?.stamp ?? null, seq });
  }

  /**
   * Note that an event has been answered, and with it all that were sent before it; a `draw` has to follow.
   * @param {string} seq
   */
  answered(seq) {
    if (!this.pending.has(seq)) return;
    for (const [sent, key] of this.pending) {
      this.pending.delete(sent);
      this.answers.set(key, (this.answers.get(key) ?? 0) + 1);
      if (sent === seq) return;
    }
  }

  /**
   * Return how many events of a component have not been answered.
   * @param {string} key
   */
  waiting(key) {
    return [...this.pending.values()].filter((sender) => sender === key).length;
  }

  /**
   * Press what a key of the keyboard stands for, unless the key belongs to the element that has the focus.
   * @param {On<KeyboardEvent>} event
   */
  key(event) {
    const target = event.target;
    if (isCommand(event) || event.isComposing) return;
    if (target.matches("input:not([type=radio]):not([type=range]), textarea, select")) return;
    if ((event.key === "Enter" || event.key === " ") && target.closest("button, input, [role=option]")) return;
    const key = this.spec("root")?.shortcuts?.[event.key];
    if (!key) return;
    event.preventDefault();
    event.stopPropagation();
    this.send(key, "press");
  }

  close() {
    render(null, this.el);
  }
}

/**
 * One component of the tree: drawn again when its description changes, and when an event of it is answered.
 * @extends {Component<{ name: string, spec: Spec, answers: number, screen: Screen }>}
 */
class Part extends Component {
  /** @type {Actions} */
  actions = {
    press: (other) => this.props.screen.send(other ?? this.props.name, "press"),
    set: (value) => this.props.screen.send(this.props.name, "set", value),
    waiting: () => this.props.screen.waiting(this.props.name),
  };

  /** @param {{ spec: Spec, answers: number }} next */
  shouldComponentUpdate(next) {
    return next.spec !== this.props.spec || next.answers !== this.props.answers || Boolean(next.spec.children);
  }

  render({ name, spec, answers, screen } = this.props) {
    return html`
      <${KINDS[spec.kind]} name=${name} spec=${spec} answers=${answers} actions=${this.actions} look=${screen.look}>
        ${spec.children?.map((child) => screen.part(child))}
      <//>`;
  }
}
