// A page without a browser for the unit tests: a light document, and a screen whose specs a test changes.

import { Window } from "happy-dom";

const window = new Window();
const names = ["document", "Event", "HTMLElement", "InputEvent", "KeyboardEvent", "MouseEvent", "MutationObserver"];
for (const name of [...names, "PointerEvent", "getComputedStyle"]) globalThis[name] = window[name];
class NoObserver {
  observe() {}
  disconnect() {}
}
Object.assign(globalThis, { window, ResizeObserver: NoObserver, IntersectionObserver: NoObserver });

const { Screen } = await import("../../rllab/widgets/engine/static/screen.js");
const LOOK = { roles: { value: ["#7b3fa0", "#c79bea"] }, template: {} };

/** Return a screen of a panel with some components, drawn; `sent` fills with what it posts. */
export function open(parts, panel = {}) {
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  const specs = { root: { kind: "panel", title: "Test", shortcuts: {}, children: Object.keys(parts), ...panel }, ...parts };
  const sent = [];
  const screen = new Screen(el, { spec: (key) => specs[key], post: (message) => sent.push(message), look: LOOK });
  screen.draw();
  /** Draw with some properties of some components changed. */
  const change = (changes) => {
    for (const [key, spec] of Object.entries(changes)) specs[key] = { ...specs[key], ...spec };
    screen.draw();
  };
  /** Answer the oldest event that is open, with what changed in the same message, as Python does. */
  const answer = (changes = {}) => {
    screen.answered([...screen.pending.keys()][0]);
    change(changes);
  };
  const find = (selector) => el.querySelector(selector);
  const all = (selector) => [...el.querySelectorAll(selector)];
  return { el, screen, sent, change, answer, find, all };
}

/** Let what was scheduled happen: redrawing after a change of state. */
export const settled = () => new Promise((done) => setTimeout(done));

/** Press a key on an element; false if that was prevented from doing what the browser does. */
export const press = (element, key, more = {}) =>
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));

/** Give an input a value as the learner does. */
export function enter(input, value, ...events) {
  input.value = value;
  for (const name of events) input.dispatchEvent(new Event(name, { bubbles: true }));
}

/** Note what changes below an element: the names of elements that come or go, and how many texts are rewritten. */
export function watched(element) {
  const observer = new MutationObserver(() => {});
  observer.observe(element, { childList: true, characterData: true, subtree: true });
  return () => {
    const records = observer.takeRecords();
    const nodes = records.flatMap((record) => [...record.addedNodes, ...record.removedNodes]);
    return { nodes: nodes.map((node) => node.nodeName), texts: records.filter(({ type }) => type === "characterData").length };
  };
}
