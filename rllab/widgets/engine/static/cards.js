// Cards in places. A card is lifted by Enter, Space, a click or a drag, moves with arrows or the pointer, and is put
// down by Enter, Space, a click on the place, or letting go. Escape puts it back. Python hears of it once, at the end.

/** @import { Drawn, Kinds, On, Props, Spec } from "./specs.d.ts" */
import { Mark } from "./controls.js";
import { classes, html } from "./html.js";
import { destination, isCommand, oneTabStop } from "./input.js";
import { Component, createRef } from "./vendor/preact.js";

/**
 * Where a card is, by number of the place, and before which of the other cards there.
 * @typedef {{ id: string, zone: number, at: number }} Position
 */

/**
 * Return the cards of each place with one card moved.
 * @param {string[][]} rows
 * @param {Position} position
 */
export function moved(rows, { id, zone, at }) {
  return rows.map((ids, index) => {
    const others = ids.filter((other) => other !== id);
    return index === zone ? others.toSpliced(at, 0, id) : others;
  });
}

/**
 * Return where a key takes a lifted card; null for any other key. In an ordered place it moves up and down.
 * @param {string} key
 * @param {Position} position
 * @param {string[][]} rows without what has been lifted
 * @param {boolean} ordered
 * @returns {Position | null}
 */
export function carried(key, { id, zone, at }, rows, ordered) {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[key];
  if (!step) return null;
  const inside = ordered && (key === "ArrowUp" || key === "ArrowDown");
  const next = inside ? zone : Math.max(0, Math.min(rows.length - 1, zone + step));
  const room = rows[next].filter((other) => other !== id).length;
  return { id, zone: next, at: inside ? Math.max(0, Math.min(room, at + step)) : room };
}

/** @extends {Component<Props<"cards">>} */
class Cards extends Component {
  board = /** @type {Drawn} */ (createRef());
  /** @type {Position | null} where the lifted card hovers */
  lifted = null;
  /** @type {Position[]} what was put down, oldest first: a fast learner moves several cards before Python answers */
  sent = [];
  /** @type {{ moved: boolean, end(): void } | null} */
  drag = null;

  /** Return the cards of each place as the learner has put them, whatever the kernel has heard of it. */
  laid() {
    const { spec, actions } = this.props;
    this.sent = this.sent.slice(Math.max(0, this.sent.length - actions.waiting()));
    return this.sent.reduce(moved, spec.zones.map((zone) => zone.cards));
  }

  order = () => /** @type {HTMLElement[]} */ ([...this.board.current.querySelectorAll(".card")]);

  /** @param {string | undefined} id */
  find = (id) => this.order().find((card) => card.dataset.card === id);

  focused = () => this.order().find((card) => card === document.activeElement)?.dataset.card;

  /** A card that moves to another place becomes a new element there; the focus goes with it. */
  getSnapshotBeforeUpdate() {
    return this.focused();
  }

  componentDidMount() {
    oneTabStop(this.order(), 0);
  }

  /**
   * @param {Props<"cards">} _props
   * @param {object} _state
   * @param {string | undefined} focused
   */
  componentDidUpdate(_props, _state, focused) {
    if (focused !== this.focused()) this.find(focused)?.focus({ preventScroll: true });
    oneTabStop(this.order(), this.order().findIndex((card) => card.dataset.card === this.lifted?.id));
  }

  componentWillUnmount() {
    this.drag?.end();
  }

  /** @param {Position | null} position */
  hover(position) {
    this.lifted = position;
    this.forceUpdate();
  }

  /** @param {HTMLElement} card */
  lift(card) {
    const id = String(card.dataset.card);
    const rows = this.laid();
    const zone = rows.findIndex((ids) => ids.includes(id));
    card.focus({ preventScroll: true });
    this.hover({ id, zone, at: rows[zone].indexOf(id) });
  }

  /** @param {Position} position */
  drop({ id, zone, at }) {
    this.sent = [...this.sent, { id, zone, at }];
    this.props.actions.set({ card: id, place: this.props.spec.zones[zone].id, at });
    this.hover(null);
  }

  /** @param {On<KeyboardEvent>} event */
  key(event) {
    const card = event.target.closest(".card");
    if (!(card instanceof HTMLElement) || isCommand(event)) return;
    if (event.key === "Tab") {
      if (this.lifted) this.hover(null);
    } else if (this.lifted ? this.liftedKey(event.key, this.lifted) : this.restingKey(event.key, card)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  /**
   * Return whether a key means something while no card is lifted, after doing it.
   * @param {string} key
   * @param {HTMLElement} card
   */
  restingKey(key, card) {
    const order = this.order();
    const to = destination(key, order.indexOf(card), order.length);
    if (to !== null) {
      order[to].focus();
      oneTabStop(order, to);
    } else if (key === "Enter" || key === " ") this.lift(card);
    else return false;
    return true;
  }

  /**
   * Return whether a key means something to the lifted card, after doing it.
   * @param {string} key
   * @param {Position} lifted
   */
  liftedKey(key, lifted) {
    const { mode, tray, zones } = this.props.spec;
    const next = carried(key, lifted, this.laid(), mode === "order" && zones[lifted.zone].id !== tray);
    if (next) this.hover(next);
    else if (key === "Enter" || key === " ") this.drop(lifted);
    else if (key === "Escape") this.hover(null);
    else return false;
    return true;
  }

  /** @param {On<MouseEvent>} event */
  click(event) {
    if (this.drag?.moved) return; // the end of a drag
    const card = event.target.closest(".card");
    if (!this.lifted) {
      if (card instanceof HTMLElement) this.lift(card);
    } else if (card && card === this.find(this.lifted.id)) this.hover(null);
    else this.dropUnder(event, this.lifted.id);
  }

  /** @param {On<PointerEvent>} event */
  grab(event) {
    const card = event.target.closest(".card");
    if (!(card instanceof HTMLElement) || event.button !== 0) return;
    const id = String(card.dataset.card);
    const listening = new AbortController();
    const { signal } = listening;
    const drag = {
      moved: false,
      end: () => {
        listening.abort();
        setTimeout(() => (this.drag = null)); // after the click that belongs to this release
      },
    };
    this.drag = drag;
    window.addEventListener("pointermove", (at) => {
      if (!drag.moved && Math.hypot(at.clientX - event.clientX, at.clientY - event.clientY) < 6) return;
      if (!drag.moved) this.lift(card);
      drag.moved = true;
      const position = this.under(at, id);
      if (position && this.lifted) this.hover(position);
    }, { signal });
    window.addEventListener("pointerup", (at) => {
      if (drag.moved && this.lifted && !this.dropUnder(at, id)) this.hover(null);
      drag.end();
    }, { signal });
    window.addEventListener("pointercancel", () => {
      if (drag.moved) this.hover(null);
      drag.end();
    }, { signal });
  }

  /**
   * Put a card down where the pointer is; false when that is not a place of this board.
   * @param {MouseEvent} event
   * @param {string} id
   */
  dropUnder(event, id) {
    const position = this.under(event, id);
    if (position) this.drop(position);
    return position !== null;
  }

  /**
   * Return where a card would be if it were put down where the pointer is; null when that is not a place of this board.
   * @param {MouseEvent} event
   * @param {string} id
   * @returns {Position | null}
   */
  under({ clientX, clientY }, id) {
    const zone = document.elementFromPoint(clientX, clientY)?.closest(".zone");
    if (!zone || !this.board.current.contains(zone)) return null;
    const passed = this.order().filter((card) => zone.contains(card) && card.dataset.card !== id).filter((card) => {
      const box = card.getBoundingClientRect();
      if (this.props.spec.mode === "order") return clientY > box.top + box.height / 2;
      return clientY > box.bottom || (clientY >= box.top && clientX > box.left + box.width / 2);
    });
    return { id, zone: [...this.board.current.children].indexOf(zone), at: passed.length };
  }

  render({ name, spec } = this.props) {
    const rows = this.lifted ? moved(this.laid(), this.lifted) : this.laid();
    return html`
      <div class="board" role="group" data-key=${name} data-mode=${spec.mode} aria-label=${spec.label} ref=${this.board}
        onKeyDown=${(/** @type {On<KeyboardEvent>} */ event) => this.key(event)}
        onKeyUp=${(/** @type {KeyboardEvent} */ event) => event.key === " " && event.preventDefault()}
        onClick=${(/** @type {On<MouseEvent>} */ event) => this.click(event)}
        onPointerDown=${(/** @type {On<PointerEvent>} */ event) => this.grab(event)}
        onDragStart=${(/** @type {Event} */ event) => event.preventDefault() /* of text that was selected on the way */}>
        ${spec.zones.map((zone, index) => html`
          <div role="group" aria-label=${zone.label}
            class=${classes("zone", zone.id === spec.tray && "tray", this.lifted?.zone === index && "target")}>
            <span class="zone-name">${zone.label}</span>
            <div class="zone-cards">${rows[index].map((id, at) => this.card(id, zone.label, at, rows[index].length))}</div>
          </div>`)}
      </div>`;
  }

  /**
   * @param {string} id
   * @param {string} zone
   * @param {number} at
   * @param {number} count
   */
  card(id, zone, at, count) {
    const { text, mark } = this.props.spec.cards[id];
    const lifted = this.lifted?.id === id;
    const place = zone + (count > 1 ? `, ${at + 1} of ${count}` : "");
    const words = `${text}; ${lifted ? "lifted over" : "in"} ${place}${mark ? `; ${mark}` : ""}`;
    return html`
      <button key=${id} class=${classes("card", mark)} type="button" tabindex="-1" data-card=${id} aria-label=${words}
        aria-pressed=${String(lifted)}><bdi>${text}</bdi><${Mark} mark=${mark} /></button>`;
  }
}

/** @satisfies {Partial<Kinds>} */
export const CARDS = { cards: Cards };
