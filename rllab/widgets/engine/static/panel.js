// One panel of a notebook: connects a screen to the kernel, through anywidget.

/** @import { Message, Model } from "./specs.d.ts" */
import { Screen } from "./screen.js";

const GONE = "The kernel behind this panel is gone: run the cell above again.";
const WAITING = "No answer from the kernel yet: it is busy with another cell, or gone; then run the cell above again.";
const PATIENCE = 2000; // milliseconds without an answer before the panel says that it waits

/**
 * Show a panel in an element until the signal says that it is closed.
 * @param {Model} model
 * @param {HTMLElement} el
 * @param {AbortSignal} signal
 */
function show(model, el, signal) {
  const screen = new Screen(el, {
    spec: (key) => model.get(`c_${key}`),
    post: (message) => {
      reach(message);
      setTimeout(() => screen.pending.has(message.seq) && !screen.status.dead && screen.say(WAITING), PATIENCE);
    },
    look: LOOK,
  });
  /** @param {Message} message */
  const reach = (message) => {
    try {
      model.send(message);
    } catch {
      screen.say(GONE, true); // there is no kernel that knows this panel any more
    }
  };
  const changed = () => {
    screen.answered(model.get("ack"));
    if (screen.status.dead || !screen.pending.size) screen.status = { words: "", dead: false };
    screen.draw();
  };
  // The connection to the kernel has changed, or the learner comes to the panel: is anybody there?
  const probe = () => reach({ event: "probe" });
  screen.draw();
  model.on("change", changed);
  model.on("comm_live_update", probe);
  screen.root.addEventListener("focusin", (event) => {
    if (!screen.root.contains(/** @type {Element | null} */ (event.relatedTarget))) probe();
  });
  const sight = new IntersectionObserver((entries) => entries.at(-1)?.isIntersecting && styleAgain(screen.root));
  sight.observe(screen.root);
  signal.addEventListener("abort", () => {
    sight.disconnect();
    model.off("change", changed);
    model.off("comm_live_update", probe);
    screen.close();
  });
}

/**
 * Chromium forgets to style what was drawn in a size container while its cell was out of sight (content-visibility):
 * axes without numbers. It remembers when the container is none for a moment.
 * @param {HTMLElement} root
 */
function styleAgain(root) {
  root.style.containerType = "normal";
  void root.offsetHeight; // without being asked for it the browser would not notice
  root.style.containerType = "";
}

/**
 * anywidget gives the page two seconds to take a widget in, and after that lets none of its messages through, ever. A slow
 * page may need longer: then the panel listens to the kernel itself, and asks for what it has missed.
 * @param {Model} model
 */
async function listen(model) {
  const whole = await model.widget_manager.get_model(model.get("own_id"));
  try {
    await whole._handle_comm_msg({ content: { data: { method: "nothing" } } });
  } catch {
    const { _handle_comm_msg: handle } = Object.getPrototypeOf(Object.getPrototypeOf(whole)); // past anywidget's own
    whole.comm.on_msg((/** @type {unknown} */ message) => handle.call(whole, message));
    whole.comm.send({ method: "request_state" });
  }
}

export default {
  /** @param {{ model: Model, el: HTMLElement, signal: AbortSignal }} widget */
  render({ model, el, signal }) {
    show(model, el, signal);
    listen(model);
  },
};
