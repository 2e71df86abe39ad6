/** What no other test prints with `--json`; `run_tutti.ts` holds each line that a test prints against its schema. */

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { checkJson } from "../../support/json_schemas.ts";
import { testTutti } from "../../support/run_tutti.ts";

/** More digits than a JSON number has. */
const LARGE_SEED = "18446744073709551615";

testTutti("methods, certs, zoo shapes and pull print JSON as their schemas say", async (home) => {
  const [methods] = await home.json<{ methods: { name: string }[] }>(["methods"]);
  assert.ok(methods!.methods.some(({ name }) => name === "average"));
  const [certs] = await home.json<{ files: string[] }>(["certs", "certs"]);
  assert.ok(certs!.files.includes("ca.pem"));
  const shapes = ["zoo", "shapes", "shapes", "--count", "6", "--seed", LARGE_SEED];
  const [made] = await home.json(shapes);
  assert.equal(made!.seed, LARGE_SEED);

  const repository = home.file("hub", "models--org--photo");
  const snapshot = `${repository}/snapshots/${"a".repeat(40)}`;
  await mkdir(`${snapshot}/unet`, { recursive: true });
  await writeFile(`${snapshot}/unet/config.json`, "{}");
  await mkdir(`${repository}/refs`);
  await writeFile(`${repository}/refs/main`, "a".repeat(40));
  const env = { HF_HUB_CACHE: home.file("hub") };
  const [pulled] = await home.json(["pull", "hf:org/photo", "--offline"], { env });
  assert.equal(pulled!.path, snapshot);
});

testTutti("zoo train prints JSON as its schema says", async (home) => {
  const train = ["zoo", "train", "--stage", "vae", "--scale", "0.0001", "--out", "zoo"];
  const events = (lines: readonly Record<string, unknown>[]) => lines.map(({ event }) => event);
  assert.deepEqual(events(await home.json(train)), ["step", "done", "end"]);
  assert.deepEqual(events(await home.json(train)), ["there", "end"]);
});

Deno.test("a key that no schema tells of is told, at any depth, and so is one of another kind", async () => {
  const wrong = [
    [{ version: 1, address: "a:1", status: "SERVING", more: 1 }, "health"],
    [{ version: 2, address: "a:1", status: "SERVING" }, "health"],
    [{ address: "a:1", status: "SERVING" }, "health"],
    [{ version: 1, count: 1, seed: 7, size: 64, captions: "" }, "zoo-shapes"],
    [{ version: 1, methods: [{ name: "a", aliases: [], summary: "", more: 1 }] }, "methods"],
  ] as const;
  for (const [value, name] of wrong) {
    await assert.rejects(checkJson(name, `${JSON.stringify(value)}\n`), /does not tell of/);
  }
  await checkJson("health", '{"version":1,"address":"a:1","status":"SERVING"}\n{"vers');
});
