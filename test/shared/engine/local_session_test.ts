import assert from "node:assert/strict";
import type {
  CommonSessionConfig,
  ExpertSession,
  ForwardRange,
} from "../../../shared/engine/expert.ts";
import type { LocalExpert } from "../../../shared/engine/local_expert.ts";
import { blockOutputShape } from "../../../shared/models/blocks.ts";
import { bitEqual, difference } from "../../../shared/tensor/compare.ts";
import { concatRows, f32, type F32Tensor, i64, sliceRows } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { eventually } from "../../support/serve_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { assertClose, assertFar, Golden } from "../../support/goldens.ts";
import { Hold } from "../../support/hold.ts";
import { keepResults } from "../../support/keep_results.ts";

interface Opened {
  readonly expert: LocalExpert;
  readonly config: CommonSessionConfig;
  readonly session: ExpertSession;
  readonly latents: F32Tensor;
  /** A range of step 0, from the latents unless `hiddenStates` are given. */
  range(first: string, last: string, hiddenStates?: F32Tensor, stepIndex?: number): ForwardRange;
}

async function withSession(test: (opened: Opened) => Promise<void>, size = 8): Promise<void> {
  const expert = await openGoldenExpert("a");
  try {
    const config = await sessionConfig(expert, size);
    const session = keepResults(await expert.openSession(config));
    const latents = latentsFor(expert.description, config);
    const range: Opened["range"] = (first, last, hiddenStates = latents, stepIndex = 0) => ({
      stepIndex,
      first,
      last,
      hiddenStates,
    });
    await test({ expert, config, session, latents, range });
    await session.close();
  } finally {
    await expert.close();
  }
}

/** Every block on its own. */
async function blockByBlock(
  { expert, session, range }: Opened,
  stepIndex: number,
): Promise<F32Tensor> {
  let hiddenStates: F32Tensor | undefined;
  for (const { id } of expert.description.blocks) {
    ({ hiddenStates } = await session.forward(range(id, id, hiddenStates, stepIndex)));
  }
  return hiddenStates!;
}

Deno.test("LocalSession: the first block that runs brings all others into memory", async () => {
  await withSession(async ({ expert, session, range }) => {
    const ids = expert.description.blocks.map(({ id }) => id);
    await session.forward(range(ids[0]!, ids[0]!));
    await eventually(() => ids.every((id) => expert.loadedGraphs.has(id)));
    await eventually(() => expert.loading === undefined);
    const { loadMs } = await session.forward(range(ids[0]!, ids.at(-1)!));
    assert.equal(loadMs, 0);
  });
});

Deno.test("LocalExpert.loadFirst() loads what the first block needs, and no more", async () => {
  const expert = await openGoldenExpert("a");
  try {
    await expert.loadFirst();
    assert.deepEqual(expert.loadedGraphs, new Set(["time_embedding", "IN00"]));
  } finally {
    await expert.close();
  }
});

Deno.test("LocalSession: a whole step agrees with the reference numbers, odd sizes included", async () => {
  for (
    const [letter, file] of [["a", "unet.safetensors"], ["b", "unet_odd_size.safetensors"]] as const
  ) {
    const golden = await Golden.read("sd15", "expected", file);
    const expert = await openGoldenExpert(letter);
    try {
      const [x, ctx] = [golden.f32("x"), golden.f32("ctx")];
      const [batch = 0, , height = 0, width = 0] = x.shape;
      const timesteps = golden.numbers("timestep");
      const session = await expert.openSession({
        batch,
        height,
        width,
        encoderHiddenStates: ctx,
        timesteps,
      });
      const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates: x };
      assertClose(file, (await session.forward(range)).hiddenStates, golden.f32("eps"));
      await session.close();
    } finally {
      await expert.close();
    }
  }
});

Deno.test("LocalSession: ranges of blocks equal single blocks, bit for bit", () =>
  withSession(async (opened) => {
    const { session, range } = opened;
    const single = await blockByBlock(opened, 0);
    const whole = await session.forward(range("IN00", "OUT11", undefined, 0));
    assert.ok(bitEqual(whole.hiddenStates.data, single.data));
    assert.ok(whole.computeMs > 0);
    let hiddenStates: F32Tensor | undefined;
    for (
      const [first, last] of [["IN00", "IN03"], ["IN04", "M00"], ["OUT00", "OUT10"], [
        "OUT11",
        "OUT11",
      ]]
    ) {
      ({ hiddenStates } = await session.forward(range(first!, last!, hiddenStates)));
    }
    assert.ok(bitEqual(hiddenStates!.data, single.data));
  }));

Deno.test("LocalSession: stateless calls equal the session, bit for bit, on an odd size too", async () => {
  for (const size of [8, 10]) {
    await withSession(async (opened) => {
      const { expert, config, session, range, latents } = opened;
      const { hiddenStates: expected } = await session.forward(range("IN00", "OUT11"));
      const row = await expert.embedTimesteps(config.timesteps);
      const temb = concatRows(new Array<F32Tensor>(config.batch).fill(sliceRows(row, 0, 1)));
      const skips = new Map<string, F32Tensor>();
      let hiddenStates = latents;
      for (const block of expert.description.blocks) {
        const residual = block.skipFrom && skips.get(block.skipFrom);
        const [, height, width] = blockOutputShape(block, size, size);
        ({ hiddenStates } = await expert.forwardBlock({
          block: block.id,
          hiddenStates,
          temb,
          encoderHiddenStates: config.encoderHiddenStates,
          ...(residual && { residual }),
          ...(block.upsamples && { targetSize: [height, width] as const }),
        }));
        skips.set(block.id, hiddenStates);
      }
      assert.ok(bitEqual(hiddenStates.data, expected.data), `size ${size}`);
    }, size);
  }
});

Deno.test("LocalSession: a skip is what the session was given, not what the expert computed", () =>
  withSession(async ({ session, range, latents }) => {
    const first = await session.forward(range("IN00", "IN00"));
    const plain = await session.forward(range("IN01", "OUT11", first.hiddenStates));
    const doubled = f32(first.hiddenStates.shape, first.hiddenStates.data.map((v) => 2 * v));
    await session.forward(range("IN00", "IN00", latents));
    const aggregated = await session.forward(range("IN01", "OUT11", doubled));
    assertFar("the aggregated features", aggregated.hiddenStates, plain.hiddenStates, 1e-3);
  }));

Deno.test("LocalSession: timesteps are told apart by their index, and steps may come in any order", () =>
  withSession(async ({ session, range }) => {
    const run = async (stepIndex: number) =>
      (await session.forward(range("IN00", "OUT11", undefined, stepIndex))).hiddenStates;
    const [first, last, again] = [await run(0), await run(2), await run(0)];
    assertFar("steps 0 and 2", first, last, 1e-3);
    assert.ok(bitEqual(first.data, again.data), "nothing of another step is left over");
  }));

Deno.test("LocalSession: batch 2 equals two batches of 1", () =>
  withSession(async ({ expert, config, session, latents, range }) => {
    const both = (await session.forward(range("IN00", "OUT11"))).hiddenStates;
    for (const row of [0, 1]) {
      const alone = await expert.openSession({
        ...config,
        batch: 1,
        encoderHiddenStates: sliceRows(config.encoderHiddenStates, row, row + 1),
      });
      const { hiddenStates } = await alone.forward(
        range("IN00", "OUT11", sliceRows(latents, row, row + 1)),
      );
      assertClose(`row ${row}`, sliceRows(both, row, row + 1), hiddenStates, 1e-6);
      await alone.close();
    }
    const [a, b] = [sliceRows(both, 0, 1), sliceRows(both, 1, 2)];
    assert.ok(difference(a.data, b.data).relativeL2 > 1e-2, "the rows are not the same anyway");
  }));

Deno.test("LocalSession refuses blocks out of order, naming what may come next", () =>
  withSession(async ({ session, range }) => {
    const refused = (r: ForwardRange, message: RegExp) =>
      assert.rejects(session.forward(r), { code: "FAILED_PRECONDITION", message });
    await refused(
      range("IN01", "IN02"),
      /next is IN00 \(a new step\): current request is IN01\.\.IN02/,
    );
    const { hiddenStates } = await session.forward(range("IN00", "IN02"));
    const wanted = /next is IN03 of step 0, or IN00 of a new one/;
    await refused(range("IN02", "IN02", hiddenStates), wanted);
    await refused(range("IN04", "IN04", hiddenStates), wanted);
    await refused(range("IN03", "IN03", hiddenStates, 1), wanted);
    await refused(range("IN03", "IN01", hiddenStates), /current request is IN03\.\.IN01/);
    // A refusal changes nothing: the session goes on.
    await session.forward(range("IN03", "OUT11", hiddenStates));
    await refused(range("IN03", "IN03", hiddenStates), /next is IN00 \(a new step\)/);
    await session.forward(range("IN00", "OUT11"));
  }));

Deno.test("LocalSession refuses unknown blocks, step indices, shapes and dtypes", () =>
  withSession(async ({ session, range, latents }) => {
    await assert.rejects(session.forward(range("IN00", "IN12")), {
      code: "NOT_FOUND",
      message: 'last must be one of IN00..OUT11: current value is "IN12"',
    });
    await assert.rejects(session.forward(range("in00", "IN01")), {
      code: "NOT_FOUND",
      message: 'first must be one of IN00..OUT11: current value is "in00"',
    });
    for (const stepIndex of [3, -1, 0.5, NaN]) {
      await assert.rejects(session.forward(range("IN00", "IN00", latents, stepIndex)), {
        code: "OUT_OF_RANGE",
        message: `step_index must lie in 0..2: current value is ${stepIndex}`,
      });
    }
    for (const shape of [[1, 4, 8, 8], [2, 5, 8, 8], [2, 4, 8, 7], [2, 4, 64]]) {
      await assert.rejects(session.forward(range("IN00", "IN00", f32(shape))), {
        name: "ShapeError",
        message: `hidden_states must be float32 [2, 4, 8, 8]: current value is float32 [${
          shape.join(", ")
        }]`,
      });
    }
    const whole = i64([2, 4, 8, 8], new Array(512).fill(0)) as unknown as F32Tensor;
    await assert.rejects(session.forward(range("IN00", "IN00", whole)), { name: "ShapeError" });
    await session.forward(range("IN00", "OUT11"));
  }));

Deno.test("LocalSession: NaN fails the range with the block's name; then only a new step may follow", () =>
  withSession(async ({ session, range, latents }) => {
    const poisoned = f32(latents.shape, latents.data.slice());
    poisoned.data[100] = NaN;
    const { hiddenStates } = await session.forward(range("IN00", "IN00"));
    await assert.rejects(session.forward(range("IN00", "OUT11", poisoned)), {
      code: "DATA_LOSS",
      message: /^Output of expert-a IN00 must be finite/,
      details: { model: "expert-a", block: "IN00" },
    });
    await assert.rejects(session.forward(range("IN01", "IN01", hiddenStates)), {
      code: "FAILED_PRECONDITION",
      message: /next is IN00 \(a new step\)/,
    });
    const after = await session.forward(range("IN00", "OUT11"));
    const again = await session.forward(range("IN00", "OUT11"));
    assert.ok(bitEqual(after.hiddenStates.data, again.hiddenStates.data));
  }));

Deno.test("a closed LocalSession refuses; others of the expert go on", () =>
  withSession(async ({ expert, config, session, range }) => {
    const other = await expert.openSession(config);
    await session.close();
    await assert.rejects(session.forward(range("IN00", "IN00")), {
      code: "FAILED_PRECONDITION",
      message: "The session is closed",
    });
    await other.forward(range("IN00", "OUT11"));
    await other.close();
    await other.close();
  }));

Deno.test("two sessions of one expert do not touch each other", () =>
  withSession(async ({ expert, config, session, range, latents }) => {
    const alone = (await session.forward(range("IN00", "OUT11"))).hiddenStates;
    const noise = f32(latents.shape, latents.data.map((v) => -v));
    const other = await expert.openSession(config);
    const [mine] = await Promise.all([
      session.forward(range("IN00", "OUT11")),
      other.forward(range("IN00", "OUT11", noise)),
    ]);
    assert.ok(bitEqual(mine.hiddenStates.data, alone.data));
    await other.close();
  }));

Deno.test("openSession() refuses sizes and text states that do not fit", () =>
  withSession(async ({ expert, config }) => {
    for (
      const [key, value] of [["batch", 0], ["height", 7.5], ["width", -8], ["height", NaN]] as const
    ) {
      await assert.rejects(expert.openSession({ ...config, [key]: value }), {
        name: "ShapeError",
        message: `${key} must be a whole number >= 1: current value is ${value}`,
      });
    }
    for (const shape of [[1, 16, 24], [2, 16, 23], [2, 0, 24], [2, 24]]) {
      await assert.rejects(
        expert.openSession({ ...config, encoderHiddenStates: f32(shape) }),
        { name: "ShapeError", message: /^encoder_hidden_states must be float32 \[2, / },
      );
    }
    await assert.rejects(expert.openSession({ ...config, timesteps: [] }), { name: "ShapeError" });
    const longer = f32([2, 32, 24]);
    const session = await expert.openSession({ ...config, encoderHiddenStates: longer });
    await session.close();
  }));

/** A session of an expert that stops before a block, and a range of all blocks. */
async function heldSession(hold: Hold) {
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  const config = await sessionConfig(expert);
  const session = keepResults(await expert.openSession(config));
  const hiddenStates = latentsFor(expert.description, config);
  return { session, range: { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates } };
}

Deno.test("LocalSession takes one range at a time: two would take each other's skips", async () => {
  const hold = new Hold("IN05");
  const { session, range } = await heldSession(hold);
  const running = session.forward(range);
  await hold.reached;
  await assert.rejects(session.forward(range), {
    code: "FAILED_PRECONDITION",
    message: "A session takes one range at a time: IN00..OUT11 came before the last one ended",
  });
  hold.release();
  const { hiddenStates } = await running;
  const after = await session.forward(range);
  assert.ok(bitEqual(hiddenStates.data, after.hiddenStates.data), "the refusal changed nothing");
  await session.close();
});

Deno.test("LocalSession stops between two blocks when its signal fires", async () => {
  const hold = new Hold("IN05");
  const { session, range } = await heldSession(hold);
  const controller = new AbortController();
  const running = session.forward(range, controller.signal);
  await hold.reached;
  controller.abort();
  await assert.rejects(running, { code: "CANCELLED" });
  await assert.rejects(session.forward(range, AbortSignal.abort()), { code: "CANCELLED" });
  hold.release();
  await session.forward(range);
  await session.close();
});

Deno.test("LocalSession says whose its blocks are: its job, or one of its own", async () => {
  const expert = new AffineExpert();
  const jobs: (string | undefined)[] = [];
  const forwardBlock = expert.forwardBlock.bind(expert);
  expert.forwardBlock = (request, signal) => {
    jobs.push(request.job);
    return forwardBlock(request, signal);
  };
  const config = await sessionConfig(expert);
  const hiddenStates = latentsFor(expert.description, config);
  for (const named of [{ job: "mine" }, {}, {}]) {
    const session = await expert.openSession({ ...config, ...named });
    await session.forward({ stepIndex: 0, first: "IN00", last: "IN01", hiddenStates });
    await session.close();
  }
  const [mine, alsoMine, second, again, third] = jobs;
  assert.deepEqual([mine, alsoMine], ["mine", "mine"]);
  assert.equal(again, second);
  assert.equal(new Set(["mine", second, third, undefined]).size, 4);
});
