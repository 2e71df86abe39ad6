import assert from "node:assert/strict";
import { FileCheckpoint } from "../../../coordinator/jobs/checkpoint_store.ts";
import {
  checkSameRun,
  decodeCheckpoint,
  encodeCheckpoint,
  type StepCheckpoint,
} from "../../../coordinator/jobs/step_checkpoint.ts";
import { encodeSafetensors } from "../../../shared/safetensors/writer.ts";
import { jobSpecToJson } from "../../../coordinator/jobs/job_spec.ts";
import type { Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { JOB } from "./small_job.ts";

const CHECKPOINT: StepCheckpoint = {
  spec: JOB,
  stepIndex: 1,
  state: {
    latents: randomTensor([1, 4, 8, 8], 3),
    memory: { epsilon_1: randomTensor([1, 4, 8, 8], 4) },
  },
  conditions: { "experts[0].modelHash": "ab", vaeHash: "cd" },
};

Deno.test("a checkpoint comes back from its bytes bit for bit", () => {
  assert.deepEqual(decodeCheckpoint(encodeCheckpoint(CHECKPOINT), "c"), CHECKPOINT);
  const withMemory = { ...CHECKPOINT, methodMemory: { log_densities: randomTensor([1, 3], 5) } };
  assert.deepEqual(decodeCheckpoint(encodeCheckpoint(withMemory), "c"), withMemory);
});

Deno.test("decodeCheckpoint() refuses a checkpoint in which a bit has flipped", () => {
  const bytes = encodeCheckpoint(CHECKPOINT);
  for (let at = bytes.length - 1; at > bytes.length - 2048; at -= 97) {
    const flipped = bytes.slice();
    flipped[at]! ^= 4;
    assert.throws(() => decodeCheckpoint(flipped, "c"), {
      name: "FormatError",
      message: /Checkpoint "c" is damaged: the SHA-256/,
    });
  }
});

Deno.test("a checkpoint is one run's at a time", async () => {
  await using folder = await tempFolder();
  const path = folder.join("deep", "run.ckpt");
  {
    await using _held = await new FileCheckpoint(path).hold();
    await assert.rejects(new FileCheckpoint(path).hold(), {
      code: "FAILED_PRECONDITION",
      message: /Another run keeps its steps in ".*run\.ckpt": wait until it ends/,
    });
  }
  await using _again = await new FileCheckpoint(path).hold();
});

Deno.test("decodeCheckpoint() refuses what is cut, changed, or something else", () => {
  const bytes = encodeCheckpoint(CHECKPOINT);
  for (let length = 0; length < bytes.length; length += 37) {
    assert.throws(() => decodeCheckpoint(bytes.slice(0, length), "c"), { name: "FormatError" });
  }
  const { latents, memory: { epsilon_1 } } = CHECKPOINT.state;
  const own = { latents, "memory.epsilon_1": epsilon_1! };
  const other = (record: unknown, tensors: Record<string, Tensor> = own) =>
    encodeSafetensors(tensors, { "tutti.checkpoint": JSON.stringify(record) });
  const record = JSON.parse(
    /\{\\"version.*?\}\}/.exec(new TextDecoder().decode(bytes))![0].replaceAll('\\"', '"'),
  );
  assert.deepEqual(decodeCheckpoint(other(record), "c"), CHECKPOINT, "unchanged it is read");
  const cases: readonly (readonly [Uint8Array<ArrayBuffer>, RegExp])[] = [
    [encodeSafetensors({ latents }), /must have metadata "tutti.checkpoint"/],
    [other({ ...record, version: 3 }), /must have version 1 or 2.*current version is 3/],
    [other(record, { ...own, "memory.epsilon_1": randomTensor([1, 4, 8, 4], 1) }), /of that shape/],
    [other(record, { ...own, epsilon: latents }), /"memory\.NAME"/],
    [other(record, { ...own, "method.log": randomTensor([2, 3], 1) }), /f32 "method\.NAME" \[B, /],
    [other({ ...record, stepIndex: 4 }), /"stepIndex" below 4.*stepIndex 4/],
    [other({ ...record, conditions: { a: 1 } }), /"conditions"/],
    [other({ ...record, spec: { ...record.spec, steps: 0 } }), /"spec": "steps" must be /],
    [other(record, { latents: randomTensor([4, 8, 8], 1) }), /latents \[4,8,8\]/],
  ];
  for (const [wrong, message] of cases) {
    assert.throws(() => decodeCheckpoint(wrong, "c"), { name: "FormatError", message });
  }
});

Deno.test("a checkpoint of version 1 is read as one of DDIM, which remembers nothing but latents", () => {
  const { latents } = CHECKPOINT.state;
  const { spec: _, ...record } = JSON.parse(
    /\{\\"version.*?\}\}/.exec(new TextDecoder().decode(encodeCheckpoint(CHECKPOINT)))![0]
      .replaceAll('\\"', '"'),
  );
  const spec = jobSpecToJson(JOB);
  const bytes = encodeSafetensors({ latents }, {
    "tutti.checkpoint": JSON.stringify({ ...record, spec, version: 1 }),
  });
  const state = { latents, memory: {} };
  assert.deepEqual(decodeCheckpoint(bytes, "c"), { ...CHECKPOINT, state });
});

Deno.test("checkSameRun() names the first setting or condition that differs", () => {
  const { spec, conditions } = CHECKPOINT;
  checkSameRun(CHECKPOINT, { spec, conditions });
  const cases = [
    [{ spec: { ...spec, steps: 5 }, conditions }, "steps", "4", "5"],
    [{ spec: { ...spec, seeds: [8n] }, conditions }, "seeds", '["7"]', '["8"]'],
    [{ spec: { ...spec, waves: 2 }, conditions }, "waves", "none", "2"],
    [{ spec: { ...spec, churn: 5 }, conditions }, "churn", "none", "5"],
    [{ spec: { ...spec, guidanceRescale: 0.7 }, conditions }, "guidanceRescale", "none", "0.7"],
    [
      { spec: { ...spec, guidanceInterval: { from: 0.2, to: 1 } }, conditions },
      "guidanceInterval",
      "none",
      '{"from":0.2,"to":1}',
    ],
    [{ spec, conditions: { ...conditions, vaeHash: "ef" } }, "vaeHash", "cd", "ef"],
    [{ spec, conditions: { vaeHash: "cd" } }, "experts[0].modelHash", "ab", "none"],
  ] as const;
  for (const [run, field, checkpoint, current] of cases) {
    assert.throws(() => checkSameRun(CHECKPOINT, run), {
      code: "FAILED_PRECONDITION",
      details: { field, checkpoint, current },
      message: /^The checkpoint is of another run: .* must be .*: current value is /,
    });
  }
});

Deno.test("a checkpoint file is replaced as a whole, and leaves nothing when it is removed", async () => {
  await using folder = await tempFolder();
  const file = new FileCheckpoint(folder.join("deep", "run.ckpt"));
  assert.equal(await file.load(), undefined);
  await file.save(CHECKPOINT);
  await file.save({ ...CHECKPOINT, stepIndex: 2 });
  assert.equal((await file.load())!.stepIndex, 2);
  // As a process leaves it that is killed while it saves.
  await Deno.writeTextFile(`${file.path}.1234.tmp`, "half");
  await file.remove();
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.join("deep"))), []);
});

Deno.test("a file that is no checkpoint is refused by name", async () => {
  await using folder = await tempFolder();
  const path = folder.join("run.ckpt");
  await Deno.writeTextFile(path, "no checkpoint at all");
  await assert.rejects(new FileCheckpoint(path).load(), {
    name: "FormatError",
    message: /run\.ckpt/,
  });
  await assert.rejects(new FileCheckpoint(folder.path).load(), { message: /must be readable/ });
});
