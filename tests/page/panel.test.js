import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.js";

globalThis.LOOK = { roles: {}, template: {} };
const { default: view } = await import("../../rllab/widgets/engine/static/panel.js");

/** A panel with one button on a model as anywidget gives it; `dead` makes sending fail. */
function opened() {
  const specs = {
    ack: "",
    c_root: { kind: "panel", title: "Counter", shortcuts: {}, children: ["more"] },
    c_more: { kind: "button", label: "More", main: true, disabled: false, pressed: null, name: "" },
  };
  const calls = new Map();
  const sent = [];
  const model = {
    dead: false,
    get: (name) => specs[name],
    on: (event, call) => calls.set(event, call),
    off: (event) => calls.delete(event),
    send(message) {
      if (model.dead) throw new Error("no comm");
      sent.push(message);
    },
    widget_manager: { get_model: async () => ({ _handle_comm_msg: async () => {} }) },
  };
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  const closing = new AbortController();
  view.render({ model, el, signal: closing.signal });
  const change = (changes) => {
    Object.assign(specs, changes);
    calls.get("change")();
  };
  return { calls, change, closing, el, model, sent, status: () => el.querySelector(".kernel-status").textContent };
}

test("a press is sent, and an answer draws what has changed", () => {
  const { change, el, sent } = opened();
  el.querySelector("button").click();
  assert.deepEqual([sent[0].key, sent[0].event], ["more", "press"]);
  change({ ack: sent[0].seq, c_more: { ...opened().model.get("c_more"), label: "Again" } });
  assert.equal(el.querySelector("button").textContent, "Again");
});

test("a kernel that is busy is waited for in words, until it answers", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { change, el, sent, status } = opened();
  el.querySelector("button").click();
  t.mock.timers.tick(1999);
  assert.equal(status(), "");
  t.mock.timers.tick(1);
  assert.match(status(), /^No answer from the kernel yet/);
  change({ ack: "another page's event" });
  assert.match(status(), /^No answer/);
  change({ ack: sent[0].seq });
  assert.equal(status(), "");
});

test("a kernel that is gone is said, and taken back when it speaks", () => {
  const { calls, change, el, model, status } = opened();
  model.dead = true;
  calls.get("comm_live_update")();
  assert.match(status(), /kernel behind this panel is gone/);
  assert.ok(el.querySelector("section.dead"));
  change({});
  assert.deepEqual([status(), el.querySelector("section.dead")], ["", null]);
});

test("coming to the panel asks whether anybody is there, moving inside it does not", () => {
  const { el, sent } = opened();
  el.querySelector("button").dispatchEvent(Object.assign(new Event("focusin", { bubbles: true }), { relatedTarget: null }));
  assert.deepEqual(sent, [{ event: "probe" }]);
  el.querySelector("button").dispatchEvent(
    Object.assign(new Event("focusin", { bubbles: true }), { relatedTarget: el.querySelector("section") }),
  );
  assert.equal(sent.length, 1);
});

test("a closed panel lets go of the model and of the page", () => {
  const { calls, closing, el } = opened();
  closing.abort();
  assert.deepEqual([calls.size, el.childElementCount], [0, 0]);
});
