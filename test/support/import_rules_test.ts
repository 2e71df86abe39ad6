import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { checkImports } from "./check_imports.ts";
import { findImports, importViolation, pathViolation } from "./import_rules.ts";

Deno.test("importViolation() lets imports point one way only", () => {
  const order = ["proto/a.ts", "shared/a.ts", "worker/a.ts", "coordinator/a.ts", "main.ts"];
  const allowed = new Set([
    "shared proto",
    "worker proto",
    "worker shared",
    "coordinator proto",
    "coordinator shared",
    "main.ts proto",
    "main.ts shared",
    "main.ts worker",
    "main.ts coordinator",
  ]);
  for (const from of order) {
    for (const to of order) {
      const [upper, lower] = [from.split("/")[0]!, to.split("/")[0]!];
      const expected = upper === lower || allowed.has(`${upper} ${lower}`)
        ? undefined
        : `${upper} must not import ${lower}`;
      assert.equal(importViolation(from, to), expected, `${from} -> ${to}`);
    }
  }
});

Deno.test("importViolation() keeps merging apart from the coordinator's other rooms", () => {
  const [from, other] = ["coordinator/merging/methods/a.ts", "coordinator/cli/a.ts"];
  assert.equal(
    importViolation(from, other),
    "coordinator/merging must import no other room of coordinator",
  );
  assert.equal(importViolation(from, "coordinator/merging/b.ts"), undefined);
  assert.equal(importViolation(from, "shared/a.ts"), undefined);
  assert.equal(importViolation(other, from), undefined);
});

Deno.test("importViolation() lets tests import anything, and nothing import tests", () => {
  for (const to of ["worker/a.ts", "coordinator/a.ts", "main.ts", "test/support/a.ts"]) {
    assert.equal(importViolation("test/a_test.ts", to), undefined);
  }
  assert.equal(importViolation("shared/a.ts", "test/a.ts"), "shared must not import test");
  assert.equal(importViolation("main.ts", "deploy/a.ts"), "main.ts must not import deploy");
});

Deno.test("importViolation() knows the version file, no other places, and the repository's edge", () => {
  assert.equal(importViolation("shared/a.ts", "deno.json"), undefined);
  assert.equal(
    importViolation("worker/a.ts", "tools/a.ts"),
    "tools has no place in the order of imports",
  );
  assert.equal(importViolation("test/a.ts", "../a.ts"), "leaves the repository");
});

Deno.test("pathViolation() refuses names that say nothing, and unknown folders", () => {
  for (const name of ["utils.ts", "types.ts", "helpers.ts", "common.ts"]) {
    assert.match(pathViolation(`shared/wire/${name}`) ?? "", new RegExp(`^is named ${name}: `));
  }
  assert.match(pathViolation("tools/a.ts") ?? "", /^is in none of /);
  assert.equal(pathViolation("shared/tensor/dtype.ts"), undefined);
  assert.equal(pathViolation("main.ts"), undefined);
});

Deno.test("findImports() finds every way to name another file, with its line", () => {
  const source = `import a from "./a.ts";
import {
  b,
} from '../b.ts';
import "./c.ts";
export * from "./d.ts"; export { e } from "./e.ts";
import type { F } from "./f.ts";
const g = await import("./g.ts");
const h = new Worker(new URL("./h.ts", import.meta.url));
const i = import.meta.resolve("./i.ts");
let j: import("./j.ts").J;
`;
  assert.deepEqual(
    findImports(source).map(({ specifier, line }) => `${specifier} ${line}`),
    [
      "./a.ts 1",
      "../b.ts 4",
      "./c.ts 5",
      "./d.ts 6",
      "./e.ts 6",
      "./f.ts 7",
      "./g.ts 8",
      "./h.ts 9",
      "./i.ts 10",
      "./j.ts 11",
    ],
  );
});

Deno.test("findImports() passes over comments without losing count of lines", () => {
  const source = `/**
 * import x from "../worker/x.ts";
 */
// import y from "../worker/y.ts";
import z from "./z.ts"; // from "../worker/z.ts" once
`;
  const found = findImports(source);
  assert.deepEqual(found[0], { specifier: "./z.ts", line: 5 });
  assert.ok(!found.some(({ line }) => line < 5));
});

Deno.test("checkImports() reports each offending line of a tree, and skips data and dependencies", async () => {
  const root = await mkdtemp(join(tmpdir(), "tutti-imports-"));
  const files: Readonly<Record<string, string>> = {
    "main.ts": 'import "./worker/a.ts";\nimport "npm:worker";\n',
    "worker/a.ts": 'import "../shared/a.ts";\n\nimport "../coordinator/a.ts";\n',
    "coordinator/a.ts": 'import "./sub/../../main.ts";\n',
    "shared/a.ts": 'await import("../worker/a.ts");\n',
    "shared/wire/types.ts": "",
    "shared/zoo/bad.ts": 'import "../../main.ts";\n',
    "node_modules/x/utils.ts": "",
    ".hidden/utils.ts": "",
    "test/goldens/utils.ts": "",
  };
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    assert.deepEqual(await checkImports(root), {
      problems: [
        'coordinator/a.ts:1: coordinator must not import main.ts ("./sub/../../main.ts")',
        'shared/a.ts:1: shared must not import worker ("../worker/a.ts")',
        "shared/wire/types.ts: is named types.ts: a file's name must say which question it answers",
        'worker/a.ts:3: worker must not import coordinator ("../coordinator/a.ts")',
      ],
      fileCount: 5,
    });
  } finally {
    await rm(root, { recursive: true });
  }
});
