import assert from "node:assert/strict";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { goldenExpert } from "../support/golden_expert.ts";
import { kohyaTensors, randomLayer, writeLora } from "../support/lora_files.ts";
import { testTutti } from "../support/run_tutti.ts";

const MODEL = goldenExpert("a");
const LISTEN = ["--listen", "127.0.0.1:0"];

testTutti("tutti worker --lora says what it serves, and another model's hash", async (home) => {
  const layer = await randomLayer(MODEL, "unet", "mid_block.attentions.0.proj_in");
  await writeLora(home.file("ink.safetensors"), kohyaTensors([layer]));
  await writeLora(home.file("glow.safetensors"), kohyaTensors([{ ...layer, alpha: 2 }]));
  const flags = ["--model", MODEL, ...LISTEN, "--lora", "ink.safetensors:0.8"];
  const plain = home.start(["worker", "--model", MODEL, ...LISTEN]);
  const worker = home.start(["worker", ...flags, "--lora", "glow.safetensors"]);
  const [, name, hash, loras] = await worker.says(
    /^Worker ready at [^ ]+: serving "([^"]+)" \(([0-9a-f]{10})\)(.*)\. Ctrl-C stops it\n/,
  );
  const shown = [...loras!.matchAll(/ with LoRA (\w+:[\d.]+)/g)].map(([, lora]) => lora!);
  assert.deepEqual(shown.toSorted(), ["glow:1", "ink:0.8"]);
  assert.equal(name, ["expert-a", ...shown].join(" + "));
  assert.ok(!(await plain.says(/\(([0-9a-f]{10})\)/))[0].includes(hash!));

  const json = home.start(["worker", ...flags, "--name", "photo", "--json"]);
  const [line] = await json.says(/^\{.*\}\n/);
  const ready = JSON.parse(line) as { address: string; name: string; loras: { name: string }[] };
  assert.deepEqual([ready.name, ready.loras.map((lora) => lora.name)], ["photo", ["ink"]]);
  const remote = await connectExpert(ready.address);
  assert.deepEqual(remote.description.loras, ready.loras);
  await remote.close();
  for (const process of [plain, worker, json]) {
    process.kill("SIGTERM");
    assert.equal((await process.result).code, 0);
  }
});

testTutti(
  "tutti worker --lora refuses what it cannot merge: code 2 for flags, 4 for files",
  async (home) => {
    const layer = await randomLayer(MODEL, "unet", "mid_block.attentions.0.proj_in");
    const tensors = kohyaTensors([layer]);
    await writeLora(home.file("ink.safetensors"), tensors);
    await writeLora(home.file("xl.safetensors"), tensors, {
      ss_base_model_version: "sdxl_base_v1-0",
    });
    const cases: [string[], number, RegExp][] = [
      [
        ["ink.safetensors:strong"],
        2,
        /--lora must be FILE:WEIGHT with a finite number as weight: current value is "ink\.safetensors:strong"/,
      ],
      [["ink.safetensors:1", "./ink.safetensors:1"], 2, /must be given once: give the sum/],
      [["none.safetensors:1"], 4, /"none\.safetensors" must exist/],
      [["xl.safetensors:1"], 4, /does not fit "expert-a", which is SD1\.5: this LoRA is for SDXL/],
    ];
    await Promise.all(cases.map(async ([loras, code, message]) => {
      const flags = loras.flatMap((lora) => ["--lora", lora]);
      const result = await home.expect(code, ["worker", "--model", MODEL, ...LISTEN, ...flags]);
      assert.match(result.stderr, message);
    }));
  },
);
