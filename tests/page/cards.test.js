import assert from "node:assert/strict";
import { test } from "node:test";
import { carried, moved } from "../../rllab/widgets/engine/static/cards.js";
import { open, press, settled } from "./page.js";

const ROWS = [["a", "b"], ["c"], []];

test("a card moves between places and within one", () => {
  assert.deepEqual(moved(ROWS, { id: "a", zone: 1, at: 0 }), [["b"], ["a", "c"], []]);
  assert.deepEqual(moved(ROWS, { id: "a", zone: 0, at: 1 }), [["b", "a"], ["c"], []]);
  assert.deepEqual(ROWS, [["a", "b"], ["c"], []]);
});

test("arrows carry a lifted card to the end of the next place, in an ordered place up and down", () => {
  const lead = (key, zone, at, ordered = false) => {
    const to = carried(key, { id: "a", zone, at }, ROWS, ordered);
    return to && [to.zone, to.at];
  };
  assert.deepEqual([lead("ArrowRight", 0, 0), lead("ArrowDown", 0, 0), lead("ArrowLeft", 0, 0)], [[1, 1], [1, 1], [0, 1]]);
  assert.deepEqual([lead("ArrowRight", 2, 0), lead("Enter", 0, 0)], [[2, 0], null]);
  assert.deepEqual([lead("ArrowDown", 1, 0, true), lead("ArrowDown", 1, 1, true), lead("ArrowUp", 1, 0, true)], [[1, 1], [1, 1], [1, 0]]);
});

function board() {
  const zones = [
    { id: "tray", label: "cards", cards: ["a", "b", "c"] },
    { id: "order", label: "In this order", cards: [] },
  ];
  const cards = Object.fromEntries(["a", "b", "c"].map((id) => [id, { text: id.toUpperCase(), mark: "" }]));
  const page = open({ board: { kind: "cards", label: "Board", mode: "order", tray: "tray", zones, cards } });
  const key = async (name) => {
    press(document.activeElement, name);
    await settled();
  };
  const rows = () => page.all(".zone-cards").map((zone) => [...zone.children].map((card) => card.dataset.card).join(""));
  return { ...page, key, rows, focused: () => document.activeElement?.dataset.card, zones };
}

test("the keyboard lifts, carries and puts down; the focus goes with the card", async () => {
  const { find, focused, key, rows, sent, all } = board();
  find("[data-card=b]").focus();
  await key("Enter");
  await key("ArrowRight");
  assert.deepEqual([rows(), focused(), sent], [["ac", "b"], "b", []]);
  assert.equal(document.activeElement.getAttribute("aria-label"), "B; lifted over In this order");
  assert.ok(find(".zone.target [data-card=b]"));
  await key(" ");
  assert.deepEqual(sent.map(({ value }) => value), [{ card: "b", place: "order", at: 0 }]);
  assert.deepEqual([rows(), focused(), find("[data-card=b]").ariaPressed ?? find("[data-card=b]").getAttribute("aria-pressed")], [["ac", "b"], "b", "false"]);
  assert.deepEqual(all(".card").filter((card) => card.tabIndex === 0).map((card) => card.dataset.card), ["b"]);
});

test("Escape and Tab put a lifted card back, and Python hears nothing", async () => {
  for (const name of ["Escape", "Tab"]) {
    const { find, key, rows, sent } = board();
    find("[data-card=a]").focus();
    for (const each of ["Enter", "ArrowRight", name]) await key(each);
    assert.deepEqual([rows(), sent], [["abc", ""], []]);
  }
});

test("a fast learner does not wait for Python", async () => {
  const { answer, find, key, rows, sent, zones } = board();
  for (const id of ["c", "a"]) {
    find(`[data-card=${id}]`).focus();
    for (const each of ["Enter", "ArrowRight", "Enter"]) await key(each);
  }
  assert.deepEqual([rows(), sent.length], [["b", "ca"], 2]);
  answer({ board: { zones: [{ ...zones[0], cards: ["a", "b"] }, { ...zones[1], cards: ["c"] }] } });
  assert.deepEqual(rows(), ["b", "ca"]); // the second move is still on its way
  answer(); // it was refused
  assert.deepEqual(rows(), ["ab", "c"]);
});

test("a board that is taken away lets go of the pointer", async () => {
  const { find, screen, sent } = board();
  const at = (type, x) => new PointerEvent(type, { bubbles: true, button: 0, clientX: x, clientY: 0 });
  find("[data-card=a]").dispatchEvent(at("pointerdown", 0));
  window.dispatchEvent(at("pointermove", 20));
  await settled();
  assert.equal(find("[aria-pressed=true]").dataset.card, "a");
  screen.close();
  for (const type of ["pointermove", "pointerup"]) window.dispatchEvent(at(type, 40));
  assert.deepEqual(sent, []);
});

test("a click lifts a card, and a second one puts it back", async () => {
  const { find, sent } = board();
  const lifted = () => find("[aria-pressed=true]")?.dataset.card;
  find("[data-card=a]").click();
  await settled();
  assert.equal(lifted(), "a");
  find("[data-card=a]").click();
  await settled();
  assert.deepEqual([lifted(), sent], [undefined, []]);
});
