import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const read = (path) => readFile(new URL(path, import.meta.url), "utf-8");
const PACKAGES = { preact: "preact/dist/preact.mjs", htm: "htm/dist/htm.mjs" };

for (const [name, file] of Object.entries(PACKAGES)) {
  test(`the engine's copy of ${name} is the package's own file, in the version that its notice names`, async () => {
    const [copy, original] = [`../../rllab/widgets/engine/static/vendor/${name}.js`, `./node_modules/${file}`];
    assert.equal(await read(copy), await read(original));
    const { version } = JSON.parse(await read(`./node_modules/${name}/package.json`));
    const notices = await read("../../rllab/widgets/engine/static/vendor/notices.js");
    assert.ok(notices.includes(`${name} ${version},`));
  });
}
