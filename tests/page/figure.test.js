import assert from "node:assert/strict";
import { test } from "node:test";
import { asTable, darkener, plainText, shortNumber } from "../../rllab/widgets/engine/static/figure.js";

const texts = ({ columns, rows }) => [columns.map(({ title }) => title), ...rows.map((row) => row.map(({ text }) => text))];

test("lines become columns over the places of all of them", () => {
  const data = [
    { name: "band", x: [0, 1], y: [9, 9], hoverinfo: "skip" },
    { name: "V learned", x: [2, 0], y: [-0.25, null] },
    { name: "a &lt;b&gt;", x: [1, 2], y: [10, 123456] },
  ];
  assert.deepEqual(texts(asTable({ data, layout: { xaxis: { title: { text: "state" } } } })), [
    ["state", "V learned", "a <b>"],
    ["0", "not a number", ""],
    ["1", "", "10"],
    ["2", "\u22120.25", "123456"],
  ]);
});

test("places without an x are counted, and ticks give them names", () => {
  const data = [{ y: [0.5, 1], x0: 3 }];
  const layout = { xaxis: { tickvals: [3, 4], ticktext: ["She", "was"] } };
  assert.deepEqual(texts(asTable({ data, layout })), [["x", "y"], ["She", "0.5"], ["was", "1"]]);
  assert.deepEqual(texts(asTable({ data: [{ y: [7] }], layout: {} })), [["x", "y"], ["0", "7"]]);
});

test("bars that lie have their places on the y axis", () => {
  const data = [{ name: "variance", orientation: "h", x: [7.5, 3.25], y: ["RLOO", "A2C"] }];
  const found = texts(asTable({ data, layout: { yaxis: { title: { text: "method" } } } }));
  assert.deepEqual(found, [["method", "variance"], ["RLOO", "7.5"], ["A2C", "3.25"]]);
});

test("a map is a table of its cells", () => {
  const data = [{ x: ["p", "q"], y: ["a"], z: [[1, null]], text: [["", ""]] }, { z: [[5]], hoverinfo: "skip" }];
  assert.deepEqual(texts(asTable({ data, layout: {} })), [["row", "p", "q"], ["a", "1", ""]]);
  assert.deepEqual(texts(asTable({ data: [{ z: [[1], [2]], text: [["one"]] }], layout: {} })), [
    ["row", "1"],
    ["1", "one"],
    ["2", "2"],
  ]);
});

test("numbers are short and carry a true minus sign", () => {
  const numbers = [3, -2, 0.123456, -1e-7, 123456.789, null, undefined, "a&amp;b"];
  const expected = ["3", "\u22122", "0.1235", "\u22121e-7", "123500", "not a number"];
  assert.deepEqual(numbers.map(shortNumber), [...expected, "not a number", "a&b"]);
});

test("text is as it was before it was made safe for plotly", () => {
  assert.equal(plainText("\u2068<b>x</b><br>&lt;img&gt; &#36;y&#36; %&#123;z} &amp;lt;\u2069"), " x  <img> $y$ %{z} &lt;");
});

test("the dark form of a figure has every role's dark colour, faded ones too, and is a copy", () => {
  const darken = darkener({ value: ["#7b3fa0", "#c79bea"], up: ["#010203", "#040506"] });
  const figure = { line: { color: "#7b3fa0" }, fill: ["rgba(1,2,3,0.18)", "rgba(9,9,9,0.5)"], width: 2, none: null };
  const dark = { line: { color: "#c79bea" }, fill: ["rgba(4,5,6,0.18)", "rgba(9,9,9,0.5)"], width: 2, none: null };
  assert.deepEqual(darken(figure), dark);
  assert.notEqual(darken(figure).line, figure.line);
});
