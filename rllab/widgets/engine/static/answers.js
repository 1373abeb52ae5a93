// Answers of an exercise: prose, options to choose, cards to lay into places.

const ANSWERS = {
  prose: () => {
    const el = make("p", "prose");
    return { el, update: (spec) => writeSpans(el, spec.spans) };
  },

  choices: (ctx) => {
    const el = make("div", "choices");
    let spec = null;
    const inputs = () => [...el.querySelectorAll("input")];
    const check = () => inputs().forEach((input) => {
      input.checked = spec.chosen.includes(input.value);
      input.disabled = Boolean(spec.disabled);
    });
    el.addEventListener("change", () => ctx.set(inputs().filter((input) => input.checked).map((input) => input.value)));
    return {
      el,
      update: (next) => {
        spec = next;
        put(el, "role", spec.many ? "group" : "radiogroup");
        put(el, "aria-label", spec.label);
        repeat(el, spec.options, () => choice(ctx, spec.many), (option, item) => {
          option.firstChild.value = item.value;
          write(option.children[1], item.text);
          drawMark(option, item.mark);
        });
        if (!ctx.waits()) check();
      },
      settle: check,
    };
  },

  cards: (ctx) => new CardTable(ctx),
};

const MARKS = { right: "\u2713", wrong: "\u2717" };

function choice(ctx, many) {
  const option = make("label", "choice");
  option.append(make("input", "", { type: many ? "checkbox" : "radio", name: ctx.uid }), make("span"), make("i", "mark"));
  return option;
}

/** Show right or wrong by a sign as well as by colour. */
function drawMark(element, mark) {
  for (const name of Object.keys(MARKS)) element.classList.toggle(name, mark === name);
  write(element.lastChild, MARKS[mark] ?? "");
  put(element.lastChild, "aria-label", mark || null);
  put(element.lastChild, "role", mark ? "img" : null);
}

/** Cards in places. A card is lifted by Enter, Space, a click or a drag, moves with arrows or the pointer, and is laid
 *  down by Enter, Space, a click on the place, or letting go. Escape puts it back. Python hears of it once, at the end. */
class CardTable {
  constructor(ctx) {
    this.ctx = ctx;
    this.el = make("div", "board", { role: "group" });
    this.cards = new Map();
    this.lifted = null; // { id, zone, at }: where the lifted card hovers, by number of the place
    this.sent = []; // the same, laid down and not yet answered, oldest first: a quick hand lays several
    this.drag = null;
    this.el.addEventListener("keydown", (event) => this.key(event));
    this.el.addEventListener("keyup", (event) => event.key === " " && event.preventDefault());
    this.el.addEventListener("click", (event) => this.click(event));
    this.el.addEventListener("pointerdown", (event) => this.grab(event));
    this.el.addEventListener("dragstart", (event) => event.preventDefault()); // of text that was selected on the way
  }

  update(spec) {
    this.spec = spec;
    put(this.el, "aria-label", spec.label);
    this.el.dataset.mode = spec.mode;
    repeat(this.el, spec.zones, zoneElement, (zone, item) => {
      zone.classList.toggle("tray", item.id === spec.tray);
      put(zone, "aria-label", item.label);
      write(zone.firstChild, item.label);
    });
    for (const id of this.cards.keys()) if (!spec.cards[id]) this.cards.delete(id);
    this.draw();
  }

  answered() {
    this.sent.shift();
    this.draw();
  }

  /** Return the cards of each place as the hand has laid them, whatever the kernel has heard of it. */
  laid() {
    return this.sent.reduce(carried, this.spec.zones.map((zone) => zone.cards));
  }

  /** Return the same with the lifted card where it hovers. */
  rows() {
    return this.lifted ? carried(this.laid(), this.lifted) : this.laid();
  }

  draw() {
    const focused = this.el.contains(document.activeElement) ? document.activeElement : null;
    const rows = this.rows();
    rows.forEach((ids, index) => {
      const zone = this.el.children[index];
      zone.classList.toggle("target", this.lifted?.zone === index);
      arrange(zone.lastChild, ids.map((id, at) => this.card(id, index, at, ids.length)));
    });
    const order = [...this.el.querySelectorAll(".card")];
    oneTabStop(order, Math.max(0, order.indexOf(this.cards.get(this.lifted?.id))));
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  card(id, zone, at, count) {
    const item = this.spec.cards[id];
    if (!this.cards.has(id)) {
      const made = make("button", "card", { type: "button", tabindex: -1 });
      made.append(make("bdi"), make("i", "mark"));
      made.dataset.card = id;
      this.cards.set(id, made);
    }
    const card = this.cards.get(id);
    const lifted = this.lifted?.id === id;
    const place = this.spec.zones[zone].label + (count > 1 ? `, ${at + 1} of ${count}` : "");
    write(card.firstChild, item.text);
    drawMark(card, item.mark);
    put(card, "aria-label", `${item.text}; ${lifted ? "lifted over" : "in"} ${place}${item.mark ? `; ${item.mark}` : ""}`);
    put(card, "aria-pressed", String(lifted));
    return card;
  }

  /** Let the lifted card hover over a place. */
  hover(zone, at) {
    const next = Math.max(0, Math.min(this.spec.zones.length - 1, zone));
    const room = this.laid()[next].filter((id) => id !== this.lifted.id).length;
    const place = { id: this.lifted.id, zone: next, at: Math.max(0, Math.min(room, at)) };
    if (place.zone === this.lifted.zone && place.at === this.lifted.at) return;
    this.lifted = place;
    this.draw();
  }

  lift(card) {
    const id = card.dataset.card;
    const rows = this.laid();
    const zone = rows.findIndex((ids) => ids.includes(id));
    this.lifted = { id, zone, at: rows[zone].indexOf(id) };
    card.focus({ preventScroll: true });
    this.draw();
  }

  drop() {
    const { id, zone, at } = this.lifted;
    this.sent.push(this.lifted);
    this.lifted = null;
    this.draw();
    this.ctx.set({ card: id, place: this.spec.zones[zone].id, at });
  }

  cancel() {
    this.lifted = null;
    this.draw();
  }

  key(event) {
    const card = event.target.closest(".card");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Tab") return void (this.lifted && this.cancel());
    const act = this.lifted ? this.liftedKey(event.key) : this.restingKey(event.key, card);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  restingKey(key, card) {
    const order = [...this.el.querySelectorAll(".card")];
    const here = order.indexOf(card);
    const to = {
      ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: order.length - 1,
    }[key];
    if (to !== undefined) {
      return () => {
        order[Math.max(0, Math.min(order.length - 1, to))].focus();
        oneTabStop(order, here);
      };
    }
    return key === "Enter" || key === " " ? () => this.lift(card) : null;
  }

  liftedKey(key) {
    const { zone, at } = this.lifted;
    const inside = this.spec.mode === "order" && this.spec.zones[zone].id !== this.spec.tray;
    const rows = this.laid();
    const last = (index) => rows[Math.max(0, Math.min(rows.length - 1, index))].length;
    const other = (step) => () => this.hover(zone + step, last(zone + step));
    return {
      Enter: () => this.drop(),
      " ": () => this.drop(),
      Escape: () => this.cancel(),
      ArrowLeft: other(-1),
      ArrowRight: other(1),
      ArrowUp: inside ? () => this.hover(zone, at - 1) : other(-1),
      ArrowDown: inside ? () => this.hover(zone, at + 1) : other(1),
    }[key];
  }

  click(event) {
    if (this.drag?.moved) return; // the end of a drag
    const card = event.target.closest(".card");
    if (!this.lifted) return void (card && this.lift(card));
    if (card?.dataset.card === this.lifted.id) return void this.cancel();
    if (this.under(event)) this.drop();
  }

  grab(event) {
    const card = event.target.closest(".card");
    if (!card || event.button !== 0) return;
    const drag = (this.drag = { x: event.clientX, y: event.clientY, moved: false });
    const move = (at) => {
      if (!drag.moved && Math.hypot(at.clientX - drag.x, at.clientY - drag.y) < 6) return;
      if (!drag.moved) this.lift(card);
      drag.moved = true;
      this.under(at);
    };
    const end = (at) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      if (drag.moved && this.lifted) at.type === "pointerup" && this.under(at) ? this.drop() : this.cancel();
      setTimeout(() => (this.drag = null)); // after the click that belongs to this release
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  }

  /** Let the lifted card hover where the pointer is; false when that is no place of this board. */
  under(event) {
    const zone = document.elementFromPoint(event.clientX, event.clientY)?.closest(".zone");
    const index = [...this.el.children].indexOf(zone);
    if (index < 0) return false;
    const others = [...zone.lastChild.children].filter((card) => card.dataset.card !== this.lifted.id);
    const before = (card) => {
      const box = card.getBoundingClientRect();
      if (event.clientY > box.bottom) return true;
      return event.clientY >= box.top && event.clientX > box.left + box.width / 2;
    };
    const vertical = (card) => event.clientY > card.getBoundingClientRect().top + card.offsetHeight / 2;
    const passed = this.spec.mode === "order" ? vertical : before;
    this.hover(index, others.filter(passed).length);
    return true;
  }
}

/** Return the rows with one card carried to its new place. */
function carried(rows, { id, zone, at }) {
  return rows.map((ids, index) => {
    const others = ids.filter((other) => other !== id);
    return index === zone ? others.toSpliced(at, 0, id) : others;
  });
}

function zoneElement() {
  const zone = make("div", "zone", { role: "group" });
  zone.append(make("span", "zone-name"), make("div", "zone-cards"));
  return zone;
}
