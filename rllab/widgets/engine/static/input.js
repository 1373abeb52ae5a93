// What the components that the learner acts on have in common.

/** @import { On, Props } from "./specs.d.ts" */

/**
 * Call at most every `wait` milliseconds; the last call is never lost.
 * @template T
 * @param {number} wait
 * @param {(value: T) => void} act
 */
export function throttled(wait, act) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {T} */
  let latest;
  let last = -wait;
  const fire = () => {
    timer = undefined;
    last = performance.now();
    act(latest);
  };
  return {
    /** @param {T} value */
    call(value) {
      latest = value;
      timer ??= setTimeout(fire, Math.max(0, wait - (performance.now() - last)));
    },
    /** Return whether a call is still to come. */
    due: () => timer !== undefined,
  };
}

/**
 * What the learner has set: shown at once, and given up for what Python says as soon as Python has answered.
 * @template T
 */
export class Choice {
  /** @type {{ value: T, answers: number } | null} */
  mine = null;

  /**
   * @param {{ props: Pick<Props, "actions" | "answers">, setState(state: object): void }} owner the component that shows it
   * @param {number} wait milliseconds between two messages, at least
   */
  constructor(owner, wait = 0) {
    this.owner = owner;
    this.throttle = wait ? throttled(wait, (message) => owner.props.actions.set(message)) : null;
  }

  /**
   * Show a value, and send it (or another message that means it).
   * @param {T} value
   * @param {unknown} message
   */
  make(value, message = value) {
    const { actions, answers } = this.owner.props;
    this.mine = { value, answers };
    if (this.throttle) this.throttle.call(message);
    else actions.set(message);
    this.owner.setState({});
  }

  /**
   * Return what to show where Python says `theirs`.
   * @param {T} theirs
   */
  or(theirs) {
    const { actions, answers } = this.owner.props;
    const open = this.mine?.answers === answers || this.throttle?.due() || actions.waiting();
    return this.mine && open ? this.mine.value : theirs;
  }
}

/**
 * Return the place in a list of `count` that a key leads to from `here`; null for any other key.
 * @param {string} key
 * @param {number} here
 * @param {number} count
 */
export function destination(key, here, count) {
  const place = {
    ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: count - 1,
  }[key];
  return place === undefined ? null : Math.max(0, Math.min(count - 1, place));
}

/**
 * Return whether a key was pressed together with one that makes it a command of the browser or of Lab.
 * @param {KeyboardEvent} event
 */
export const isCommand = (event) => event.ctrlKey || event.metaKey || event.altKey;

/**
 * Move the focus in a list with arrows, Home and End. The whole list is one tab stop.
 * @param {On<KeyboardEvent>} event
 * @param {HTMLElement[]} elements
 * @param {(place: number) => void} moved
 */
export function rove(event, elements, moved = () => {}) {
  const here = elements.findIndex((element) => element.contains(event.target));
  const place = destination(event.key, here, elements.length);
  if (isCommand(event) || here < 0 || place === null) return;
  event.preventDefault();
  event.stopPropagation();
  elements[place].focus();
  oneTabStop(elements, place);
  moved(place);
}

/**
 * Let Tab reach exactly one of the elements: the one with the focus, or else the preferred one.
 * @param {HTMLElement[]} elements
 * @param {number} preferred
 */
export function oneTabStop(elements, preferred) {
  const focused = elements.find((element) => element === document.activeElement);
  const stop = focused ?? elements[preferred] ?? elements[0];
  for (const element of elements) {
    const index = element === stop ? 0 : -1;
    if (element.tabIndex !== index) element.tabIndex = index;
  }
}
