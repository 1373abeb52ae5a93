// One panel: keeps an element per component, redraws those whose description changed, sends events.

const KINDS = { ...WORDS, ...CONTROLS, ...TOKENS, ...ANSWERS, ...PICTURES };
const GONE = "The kernel behind this panel is gone: run the cell above again.";
const WAITING = "No answer from the kernel yet: it is busy with another cell, or gone; then run the cell above again.";
const PATIENCE = 2000; // milliseconds without an answer before the panel says that it waits
let panelCount = 0;

class PanelView {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.uid = `rllab-${(panelCount += 1)}-${Date.now().toString(36)}`;
    this.mounted = new Map();
    this.themed = new Set();
    this.count = 0;
    this.pending = new Map(); // what was sent and not yet answered: sequence name -> component
    this.dead = false;
    this.status = make("div", "kernel-status", { role: "status" });
  }

  spec(key) {
    return this.model.get(`c_${key}`);
  }

  /** Draw what is new and what changed, from the root down; drop what is no longer part of the tree. */
  draw() {
    const alive = new Set();
    const hadFocus = this.root.contains(document.activeElement);
    const top = this.place("root", alive);
    if (top) arrange(this.root, [top, this.status]);
    for (const [key, entry] of this.mounted) {
      if (alive.has(key)) continue;
      entry.component.destroy?.();
      this.mounted.delete(key);
    }
    const spec = this.spec("root");
    this.shortcuts = spec?.shortcuts ?? {};
    put(this.root, "aria-label", spec?.title);
    if (hadFocus && !this.root.contains(document.activeElement)) this.root.focus({ preventScroll: true });
  }

  place(key, alive) {
    const spec = this.spec(key);
    if (!spec || !KINDS[spec.kind]) return null;
    alive.add(key);
    let entry = this.mounted.get(key);
    if (entry && entry.kind !== spec.kind) {
      entry.component.destroy?.();
      entry = null;
    }
    if (!entry) {
      entry = { kind: spec.kind, component: KINDS[spec.kind](this.context(key)), spec: null, children: [] };
      entry.component.el.dataset.key = key;
      this.mounted.set(key, entry);
    }
    const children = (spec.children ?? []).map((child) => this.place(child, alive)).filter(Boolean);
    if (entry.spec !== spec || children.some((child, index) => child !== entry.children[index])) {
      entry.component.update(spec, children);
    }
    entry.spec = spec;
    entry.children = children;
    return entry.component.el;
  }

  context(key) {
    return {
      uid: `${this.uid}-${key}`,
      press: (other) => this.send(other ?? key, "press"),
      set: (value) => this.send(key, "set", value),
      waits: () => [...this.pending.values()].includes(key), // the hand has gone on since the picture that comes now
      theme: (draw) => this.themed.add(draw),
      observe: (element, call) => {
        const observer = new ResizeObserver(call);
        observer.observe(element);
        this.signal.addEventListener("abort", () => observer.disconnect());
      },
    };
  }

  send(key, event, value = null) {
    const seq = `${this.uid}-${(this.count += 1)}`;
    this.pending.set(seq, key);
    if (!this.reach({ key, event, value, stamp: this.spec(key)?.stamp ?? null, seq })) return;
    setTimeout(() => {
      if (this.pending.has(seq) && !this.dead) this.say(WAITING);
    }, PATIENCE);
  }

  /** Hand a message to the kernel; false when there is none that knows this panel any more. */
  reach(message) {
    try {
      this.model.send(message);
    } catch {
      this.setDead(true);
    }
    return !this.dead;
  }

  setDead(dead) {
    if (dead === this.dead) return;
    this.dead = dead;
    this.root.classList.toggle("dead", dead);
    this.say(dead ? GONE : "");
  }

  say(words) {
    write(this.status, words);
  }

  /** Python has dealt with an event: an input it refused goes back to the value that holds. */
  answered() {
    const seq = this.model.get("ack");
    if (!this.pending.has(seq)) return;
    for (const [sent, key] of this.pending) {
      this.pending.delete(sent);
      this.mounted.get(key)?.component.answered?.();
      // an input that has been moved on since keeps what it says until that is answered too
      if (![...this.pending.values()].includes(key)) this.mounted.get(key)?.component.settle?.();
      if (sent === seq) break;
    }
    if (!this.pending.size) this.say("");
  }

  /**
   * Chromium forgets to style what was drawn in a size container while its cell was out of sight (content-visibility):
   * axes without numbers. It remembers when the container is none for a moment.
   */
  styleAgain() {
    this.root.style.containerType = "normal";
    void this.root.offsetHeight; // without being asked for it the browser would not notice
    this.root.style.containerType = "";
  }

  key(event) {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (target.matches("input:not([type=radio]):not([type=range]), textarea, select")) return;
    if ((event.key === "Enter" || event.key === " ") && target.closest("button, input, [role=option]")) return;
    const key = this.shortcuts[event.key];
    if (!key) return;
    event.preventDefault();
    event.stopPropagation();
    this.send(key, "press");
  }

  start(signal) {
    this.signal = signal;
    this.root.addEventListener("keydown", (event) => this.key(event));
    const changed = () => {
      this.setDead(false);
      this.draw();
      this.answered();
    };
    // The connection to the kernel has changed, or the learner comes to the panel: is anybody there?
    const probe = () => this.reach({ event: "probe" });
    this.model.on("change", changed);
    this.model.on("comm_live_update", probe);
    this.root.addEventListener("focusin", (event) => this.root.contains(event.relatedTarget) || probe());
    const theme = new MutationObserver(() => this.themed.forEach((draw) => draw()));
    theme.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name"] });
    const seen = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && this.styleAgain());
    seen.observe(this.root);
    signal.addEventListener("abort", () => {
      seen.disconnect();
      this.model.off("change", changed);
      this.model.off("comm_live_update", probe);
      theme.disconnect();
      for (const entry of this.mounted.values()) entry.component.destroy?.();
    });
    this.draw();
  }
}

/**
 * anywidget gives the page two seconds to take a widget in, and after that lets none of its messages through, ever. A slow
 * page may need longer: then the panel listens to the kernel itself, and asks for what it has missed.
 */
async function listen(model) {
  const whole = await model.widget_manager.get_model(model.get("own_id"));
  try {
    await whole._handle_comm_msg({ content: { data: { method: "nothing" } } });
  } catch {
    const { _handle_comm_msg: handle } = Object.getPrototypeOf(Object.getPrototypeOf(whole)); // past anywidget's own
    whole.comm.on_msg((message) => handle.call(whole, message));
    whole.comm.send({ method: "request_state" });
  }
}

export default {
  render({ model, el, signal }) {
    const root = make("section", "rllab", { tabindex: -1 });
    el.append(root);
    new PanelView(model, root).start(signal);
    listen(model);
  },
};
