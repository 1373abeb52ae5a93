import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.js";
import { Choice, destination, oneTabStop, rove, throttled } from "../../rllab/widgets/engine/static/input.js";

test("arrows, Home and End lead through a list and stop at its ends", () => {
  const lead = (key, here) => destination(key, here, 4);
  assert.deepEqual(["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"].map((key) => lead(key, 1)), [2, 2, 0, 0]);
  assert.deepEqual([lead("ArrowRight", 3), lead("ArrowLeft", 0), lead("Home", 2), lead("End", 0)], [3, 0, 0, 3]);
  assert.deepEqual(["Enter", "a", " "].map((key) => lead(key, 1)), [null, null, null]);
});

function list(count) {
  const elements = Array.from({ length: count }, () => Object.assign(document.createElement("button"), { tabIndex: -1 }));
  document.body.replaceChildren(...elements);
  return elements;
}

function keydown(target, key, more = {}) {
  const event = { key, target, prevented: false, ...more };
  return Object.assign(event, { preventDefault: () => (event.prevented = true), stopPropagation() {} });
}

test("a list is one tab stop that follows the focus", () => {
  const elements = list(3);
  oneTabStop(elements, 2);
  assert.deepEqual(elements.map((element) => element.tabIndex), [-1, -1, 0]);
  oneTabStop(elements, 7);
  assert.deepEqual(elements.map((element) => element.tabIndex), [0, -1, -1]);
  elements[1].focus();
  oneTabStop(elements, 2);
  assert.deepEqual(elements.map((element) => element.tabIndex), [-1, 0, -1]);
});

test("a key moves the focus and says where to", () => {
  const elements = list(3);
  elements[0].focus();
  const places = [];
  const event = keydown(elements[0], "End");
  rove(event, elements, (place) => places.push(place));
  assert.deepEqual([places, event.prevented, document.activeElement === elements[2]], [[2], true, true]);
  assert.deepEqual(elements.map((element) => element.tabIndex), [-1, -1, 0]);
});

test("commands of the browser and keys elsewhere are left alone", () => {
  const elements = list(2);
  const events = [
    keydown(elements[0], "ArrowRight", { ctrlKey: true }),
    keydown(elements[0], "x"),
    keydown(document.body, "End"),
  ];
  for (const event of events) rove(event, elements, () => assert.fail("moved"));
  assert.ok(events.every((event) => !event.prevented));
});

test("calls are thinned out and the last one is never lost", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(performance, "now", () => 0);
  const calls = [];
  const { call, due } = throttled(100, (value) => calls.push(value));
  call(1);
  t.mock.timers.tick(0);
  assert.deepEqual([calls, due()], [[1], false]);
  for (const value of [2, 3, 4]) call(value);
  t.mock.timers.tick(99);
  assert.deepEqual([calls, due()], [[1], true]);
  t.mock.timers.tick(1);
  assert.deepEqual([calls, due()], [[1, 4], false]);
});

test("what was chosen holds until it is answered", () => {
  const sent = [];
  let waiting = 0;
  const actions = { set: (value) => sent.push(value), waiting: () => waiting };
  const owner = { props: { actions, answers: 0 }, setState() {} };
  const choice = new Choice(owner);
  assert.equal(choice.or("python's"), "python's");
  choice.make("mine", "message");
  waiting = 2; // a second event is on its way
  assert.deepEqual([sent, choice.or("python's")], [["message"], "mine"]);
  owner.props = { actions, answers: 1 };
  waiting = 1;
  assert.equal(choice.or("python's"), "mine");
  waiting = 0;
  assert.equal(choice.or("python's"), "python's");
});
