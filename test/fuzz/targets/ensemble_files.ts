/** Ensemble files: TOML that a person wrote, or something else of that name. @module */

import assert from "node:assert/strict";
import { loadEnsembleFile } from "../../../coordinator/cluster/ensemble_file.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { type FuzzTarget, outcomeOf } from "../fuzz.ts";
import type { Mutator } from "../mutate.ts";

const GOOD = `# two experts
name = "castles"
sabw = "uniform"
vae = "vae"
tokenizer = "tokenizer"

[[experts]]
name = "photo"
model = "photo"
lora = ["ink.safetensors:0.8"]

[[experts]]
name = "anime"
address = "gpu-2:7070"

[defaults]
steps = 30
size = "768x512"
aggregate = ["IN04", "M00"]
seed = -1
`;

export async function ensembleFiles(): Promise<FuzzTarget> {
  const folder = await tempFolder();
  for (const name of ["vae", "tokenizer", "photo"]) await Deno.mkdir(folder.join(name));
  await Deno.writeTextFile(folder.join("ink.safetensors"), "");
  const good = folder.join("good.toml");
  await Deno.writeTextFile(good, GOOD);
  const path = folder.join("damaged.toml");
  return {
    name: "ensemble",
    seeds: [new TextEncoder().encode(GOOD)],
    alphabet: new TextEncoder().encode("[]{}=\"#\n.,\\:-+_ae0159'\t "),
    mutate: withOtherValues,
    async feed(bytes) {
      await Deno.writeFile(path, bytes);
      return await outcomeOf(() => loadEnsembleFile(path));
    },
    async feedGood() {
      const { name, experts } = await loadEnsembleFile(good);
      assert.deepEqual([name, ...experts.map((expert) => expert.name)], [
        "castles",
        "photo",
        "anime",
      ]);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const KEYS = ["name", "sabw", "vae", "tokenizer", "scheduler", "model", "lora", "address"]
  .concat(["experts", "x", "defaults", "guidance", "clip_skip", "wire_dtype"]);
const VALUES = ['""', '"uniform"', '"vae"', '"../vae"', '"/"', '"a:1"', '"a:99999"', '"a:b:c"']
  .concat(["[]", "[[]]", "{}", "{ a = 1 }", "0", "-1", "1e999", "nan", "true", "1979-05-27"])
  .concat(['["a:1", "a:1"]', '["ink.safetensors:nan"]', "'''\n'''", String.raw`"\u0000"`])
  .concat(['["ink.safetensors:1", "ink.safetensors:1"]', `"${"a".repeat(5000)}"`]);

/** Lines that go missing, come twice or get another key or value. */
function withOtherValues(bytes: Uint8Array, mutator: Mutator): Uint8Array<ArrayBuffer> {
  const lines = new TextDecoder().decode(bytes).split("\n");
  for (let i = mutator.below(4); i >= 0; i--) {
    const at = mutator.below(lines.length);
    const line = lines[at]!;
    const [key = "", value = ""] = line.split(" = ");
    const otherKey = KEYS[mutator.below(KEYS.length)]!;
    const otherValue = VALUES[mutator.below(VALUES.length)]!;
    const others = [`${key} = ${otherValue}`, `${otherKey} = ${value}`, `[${otherKey}]`, ""]
      .concat([`[[${otherKey}]]`, `${line}\n${line}`, `${otherKey} = ${otherValue}`]);
    lines[at] = others[mutator.below(others.length)]!;
  }
  return new TextEncoder().encode(lines.join("\n"));
}
