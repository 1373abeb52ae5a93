import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, open, press, settled, watched } from "./page.js";

const HARD = ["<img src=x onerror=alert(1)>", "$x^2$", "%{x}", "&lt;b&gt;", "</script>", "\u202e", "a\u0000b", ""];
const OPTIONS = [["a", "first"], ["b", "second"], ["c", "third"]];
const text = (words) => [{ text: words }];
const chips = (more = {}) => {
  const items = [{ t: "She", n: "0.1" }, { t: "was", n: "-0.4", i: -2 }, { t: "sad", n: "0.9", i: 1, f: true }];
  return { kind: "chips", label: "Tokens", prompt: ["Mia"], items, selected: 1, next: "", quantity: "A", ...more };
};
const bar = (label, more = {}) => ({ label, width: 0.5, number: "0.50", extra: [], name: "", value: 7, ...more });
const slider = { kind: "slider", label: "beta", options: OPTIONS, index: 1, disabled: false };
const box = { kind: "text", label: "Prompt", value: "a cat", enter: "go", placeholder: "", disabled: false };
const go = { kind: "button", label: "Go", main: true, disabled: false, pressed: null, name: "" };

test("every component is drawn, with its key", () => {
  const parts = {
    head: { kind: "head", title: "Title" },
    row: { kind: "row", end: true },
    columns: { kind: "columns", three: false, pair: true },
    group: { kind: "group", title: "Group", children: ["inside"] },
    inside: { kind: "note", spans: text("inside a group") },
    heading: { kind: "heading", spans: [{ text: "bold", bold: true }, { text: "up", tone: "up" }] },
    badges: { kind: "badges", badges: [{ kind: "learned", text: "learned" }] },
    ring: { kind: "ring", stages: ["state", "action"], active: "action" },
    progress: { kind: "progress", label: "Progress", done: 3, total: 10, text: "tick 3" },
    table: { kind: "table", caption: "Samples", columns: [{ title: "gold", numeric: true }], rows: [text("0.8")] },
    legend: { kind: "legend", items: [["up2", "above zero"]] },
    bars: { kind: "bars", label: "Candidates", items: [bar("sad")], rest: bar("all others") },
    chart: { kind: "chart", alt: "Values", height: 220, figure: { data: [{ y: [1] }], layout: {} } },
    unknown: { kind: "no such kind" },
  };
  const root = { children: Object.keys(parts).filter((key) => key !== "inside") };
  const { all, change, find, screen } = open(parts, root);
  const drawn = all("[data-key]").map((element) => element.dataset.key);
  assert.deepEqual(new Set(drawn), new Set(["root", ...Object.keys(parts)].filter((key) => key !== "unknown")));
  assert.equal(find("section").getAttribute("aria-label"), "Test");
  assert.equal(find(".group").textContent, "Groupinside a group");
  assert.deepEqual([find(".columns").className, find(".row").className], ["columns pair", "row end"]);
  assert.equal(find("[aria-current=step]").textContent, "action");
  assert.deepEqual([find("progress").max, find("progress").value], [10, 3]);
  assert.deepEqual([find("th").className, find("td").textContent], ["number", "0.8"]);
  assert.deepEqual([find(".bar.rest").tagName, find("button.bar .fill").style.width], ["DIV", "50%"]);
  change({ progress: { total: 0 } }); // the end is not known
  assert.equal(find("progress").hasAttribute("value"), false);
  screen.close();
});

test("text stays text, and whatever is focusable opts out of Lab's command mode", () => {
  const items = HARD.map((t) => ({ t }));
  const spans = HARD.map((words) => ({ text: words, tip: words }));
  const { all, el } = open({
    strip: chips({ items, quantity: "" }),
    note: { kind: "note", spans },
    bars: { kind: "bars", label: "Candidates", items: HARD.map((words) => bar(words)), rest: null },
    passage: { kind: "passage", label: "Text", text: HARD.join("") },
    ...{ box, go, slider, select: { kind: "select", label: "World", options: OPTIONS, value: "a" } },
  });
  assert.deepEqual(all("[role=option] bdi").map((element) => element.textContent), HARD);
  assert.equal(all("img, script, iframe").length, 0);
  const focusable = all("button, input, select, [tabindex]");
  assert.ok(focusable.length > 20);
  assert.ok(focusable.every((element) => element.dataset.lmSuppressShortcuts === "true" || element === el.firstChild));
});

test("a live region is the same element for ever, and only its text changes", () => {
  const reading = { kind: "reading", spans: [{ text: "V is " }, { text: "0.1", bold: true }], live: true };
  const { change, find, screen } = open({ reading, alert: { kind: "alert", text: "" } });
  const regions = [find(".reading"), find(".alert"), find(".kernel-status")];
  const seen = watched(find("section"));
  change({});
  change({ reading: { spans: [{ text: "V is " }, { text: "0.1", bold: true }] } });
  assert.deepEqual(seen(), { nodes: [], texts: 0 }); // an unchanged sentence is not spoken again
  change({ reading: { spans: [{ text: "V is " }, { text: "0.2", bold: true }] } });
  assert.deepEqual([seen(), find(".reading b").textContent], [{ nodes: [], texts: 1 }, "0.2"]);
  change({ alert: { text: "choose a number above 0" }, reading: { live: false } });
  screen.say("busy");
  assert.ok([find(".reading"), find(".alert"), find(".kernel-status")].every((region, at) => region === regions[at]));
  assert.deepEqual(regions.map((region) => region.textContent), ["V is 0.2", "choose a number above 0", "busy"]);
  assert.equal(find(".reading").getAttribute("aria-live"), "off");
  change({ alert: { text: "" } });
  assert.equal(find(".alert").childNodes.length, 0); // :empty, so it takes no room
});

test("components keep their elements and the focus when others come, go and change places", () => {
  const note = { kind: "note", spans: text("note") };
  const { change, find } = open({ box, go, note });
  const [input, button] = [find("input"), find("button")];
  const same = () => [find("input") === input, find("button") === button, document.activeElement === input];
  input.focus();
  for (const children of [["note", "go", "box"], ["box", "note", "go"], ["box", "go"]]) {
    change({ root: { children } });
    assert.deepEqual(same(), [true, true, true]);
  }
  button.focus();
  change({ root: { children: ["box"] } });
  assert.ok(document.activeElement === find("section")); // the focus stays in the panel
});

test("a button presses, unless it is off; keys press what they stand for", () => {
  const { change, find, sent } = open({ go, box }, { shortcuts: { s: "go", Enter: "go" } });
  find("button").click();
  assert.equal(press(find("button"), "s"), false);
  assert.equal(press(find("button"), "Enter"), true); // the browser clicks
  press(find("input"), "s"); // in a box, keys belong to the box
  press(find("section"), "s", { ctrlKey: true });
  press(find("section"), "x");
  assert.deepEqual(sent.map(({ key, event }) => [key, event]), [["go", "press"], ["go", "press"]]);
  change({ go: { disabled: true } });
  find("button").click();
  assert.deepEqual([sent.length, find("button").getAttribute("aria-disabled"), find("button").disabled], [2, "true", false]);
});

test("what is being typed is the learner's; what was refused goes back", () => {
  const { answer, change, find, sent } = open({ box, go });
  const input = find("input");
  input.focus();
  enter(input, "a cat s");
  change({ box: { placeholder: "write" } });
  assert.equal(input.value, "a cat s");
  enter(input, "a cat sat", "change");
  enter(input, "a cat sat d");
  answer({ box: { value: "a cat sat" } }); // the answer to what was sent does not undo what was typed since
  assert.equal(input.value, "a cat sat d");
  change({ box: { value: "a dog" } }); // a change that Python made does
  assert.equal(input.value, "a dog");
  enter(input, "zebra");
  press(input, "Enter");
  answer();
  answer();
  assert.equal(input.value, "a dog");
  assert.deepEqual(sent.map(({ key, event, value }) => [key, event, value]), [
    ["box", "set", "a cat sat"],
    ["box", "set", "zebra"],
    ["go", "press", null],
  ]);
});

test("a box that is taken away while something is being typed is silent", () => {
  const { change, find, sent } = open({ box, go });
  const input = find("input");
  enter(input, "half a wo");
  change({ root: { children: ["go"] } });
  enter(input, "half a wo", "change"); // as Chromium does
  assert.deepEqual(sent, []);
});

test("a slider that is dragged is not pulled back by an older picture", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { answer, change, find, sent } = open({ slider });
  const input = find("input");
  const move = async (at) => {
    enter(input, at, "input");
    await Promise.resolve();
  };
  await move("2");
  assert.deepEqual([input.getAttribute("aria-valuetext"), find("output").textContent], ["third", "third"]);
  change({ slider: { index: 0, label: "KL coefficient" } });
  assert.deepEqual([input.value, input.getAttribute("aria-label")], ["2", "KL coefficient"]);
  t.mock.timers.tick(100);
  await move("1");
  answer({ slider: { index: 2 } }); // answers the first move; the second is not sent yet
  assert.equal(input.value, "1");
  t.mock.timers.tick(100);
  answer(); // refused: the value that holds comes back
  assert.deepEqual([input.value, find("output").textContent], ["2", "third"]);
  assert.deepEqual(sent.map(({ value }) => value), ["c", "b"]);
});

test("lists, radios and answers show the choice at once and give it up when it is refused", async () => {
  const choices = { kind: "choices", label: "Which?", many: true, disabled: false, chosen: ["a"] };
  const options = OPTIONS.map(([value, words]) => ({ value, text: words, mark: value === "b" ? "wrong" : "" }));
  const { all, answer, find, sent } = open({
    select: { kind: "select", label: "World", options: OPTIONS, value: "a" },
    radios: { kind: "radios", label: "Lens", options: OPTIONS, value: "a" },
    choices: { ...choices, options },
  });
  const checked = (type) => all(`input[type=${type}]`).filter((input) => input.checked).map((input) => input.value);
  enter(find("select"), "b", "change");
  all("input[type=radio]")[2].click();
  all("input[type=checkbox]")[1].click();
  await settled();
  assert.deepEqual([find("select").value, checked("radio"), checked("checkbox")], ["b", ["c"], ["a", "b"]]);
  assert.deepEqual(sent.map(({ value }) => value), ["b", "c", ["a", "b"]]);
  answer({ select: { value: "b" } });
  answer();
  answer();
  assert.deepEqual([find("select").value, checked("radio"), checked("checkbox")], ["b", ["a"], ["a"]]);
  assert.deepEqual([find(".choice.wrong .mark").textContent, find(".choice .mark").textContent], ["\u2717", ""]);
});

test("two panels of one page have no id and no group of radios in common", () => {
  const radios = { kind: "radios", label: "Lens", options: OPTIONS, value: "a" };
  const names = [open({ radios }), open({ radios })].map(({ find }) => find("input").name);
  assert.notEqual(names[0], names[1]);
});

test("the strip moves with arrows, keeps the focus while all chips change, and names its chips", async () => {
  const { all, answer, find, screen, sent } = open({ strip: chips({ next: "not written yet" }) });
  const options = all("[role=option]");
  const names = options.map((option) => option.getAttribute("aria-label"));
  assert.deepEqual(names.slice(1), ["token 2, was, A -0.4", "token 3, sad, written by you, A 0.9", "not written yet"]);
  assert.deepEqual(options.map((option) => option.className).slice(1), ["chip down2", "chip up1 forced", "chip next"]);
  assert.deepEqual(options.map((option) => option.tabIndex), [-1, 0, -1, -1]);
  options[1].focus();
  press(options[1], "ArrowRight");
  await settled();
  assert.deepEqual([document.activeElement === options[2], options[2].getAttribute("aria-selected")], [true, "true"]);
  await new Promise((done) => setTimeout(done, 80));
  assert.deepEqual([sent.at(-1).value, screen.waiting("strip")], [2, 1]);
  const items = ["He", "is", "glad", "!"].map((t, at) => ({ t, n: String(at) }));
  answer({ strip: { items, selected: 2 } });
  const after = all("[role=option]");
  assert.ok(options.every((option, at) => option === after[at]) && document.activeElement === options[2]);
  assert.equal(find("[aria-selected=true]").textContent, "glad2");
});

test("bars send their value and carry the stamp of their picture", () => {
  const items = [bar("sad", { value: 11 }), bar("happy", { value: 12, tick: 0.25 })];
  const { all, sent } = open({ bars: { kind: "bars", label: "Candidates", items, rest: null, stamp: "line 1" } });
  const [first, second] = all("button.bar");
  first.focus();
  press(first, "ArrowDown");
  assert.ok(document.activeElement === second);
  second.click();
  assert.deepEqual([sent[0].value, sent[0].stamp, sent[0].event], [12, "line 1", "set"]);
  assert.deepEqual([second.querySelector(".tick").style.left, first.querySelector(".tick").hidden], ["25%", true]);
});

test("a fold opens and closes on the page alone", async () => {
  const fold = { kind: "fold", label: "Settings", open: false, children: ["go"] };
  const { change, find, sent } = open({ fold, go }, { children: ["fold"] });
  find("button").click();
  await settled();
  change({ go: { label: "Stop" } });
  assert.deepEqual([find(".fold-inside").hidden, find("button").getAttribute("aria-expanded")], [false, "true"]);
  assert.deepEqual([find(".fold-inside").textContent, sent], ["Stop", []]);
});

test("a chart is drawn when plotly comes, sends clicks, and shows its numbers as a table", async () => {
  const drawn = [];
  const library = {
    react: (picture, data, layout) => {
      drawn.push([data, layout.height]);
      picture.on = (name, call) => (picture.calls = { [name]: call });
    },
    purge: () => drawn.push("purged"),
  };
  const figure = { data: [{ name: "V", y: [0.5] }], layout: { xaxis: { title: { text: "state" } } } };
  const { all, change, find, screen, sent } = open({ chart: { kind: "chart", alt: "Values", height: 200, figure } });
  globalThis.rllabShared.resolve(library);
  await settled();
  assert.deepEqual(drawn, [[[{ name: "V", y: [0.5] }], 200]]);
  find(".picture").calls.plotly_click({ points: [{ curveNumber: 1, pointNumber: 2 }] });
  assert.deepEqual(sent[0].value, { curve: 1, point: 2 });
  find(".chart-toggle").click();
  await settled();
  assert.deepEqual(all("th, td").map((cell) => cell.textContent), ["state", "V", "0", "0.5"]);
  change({ chart: { height: 300 } });
  assert.equal(drawn.at(-1)[1], 300);
  screen.close();
  assert.deepEqual([drawn.at(-1), find("section")], ["purged", null]);
});
