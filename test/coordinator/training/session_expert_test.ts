import assert from "node:assert/strict";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import {
  type AggregatedBlocks,
  aggregationPlan,
} from "../../../coordinator/sampling/aggregation_plan.ts";
import {
  type DifferentiableAggregator,
  ensembleBackward,
  type ExpertBackward,
  type RangeGradients,
} from "../../../coordinator/training/ensemble_backward.ts";
import { SessionExpert } from "../../../coordinator/training/session_expert.ts";
import { TapedExpert } from "../../support/taped_expert.ts";
import { ensembleForward } from "../../../coordinator/sampling/ensemble_forward.ts";
import { ForwardTape } from "../../../coordinator/training/forward_tape.ts";
import type { BlockExpert } from "../../../shared/engine/block_expert.ts";
import type { Expert, ExpertSession, SessionConfig } from "../../../shared/engine/expert.ts";
import { embedRows, rowTimesteps } from "../../../shared/engine/step_tembs.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, type F32Tensor, sliceRows } from "../../../shared/tensor/tensor.ts";
import { PLANE_KINDS } from "../../../shared/wire/plane/plane_kind.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, randomTensor, sessionConfig } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { serveExpert } from "../../support/serve_expert.ts";

/** Odd, so that no halving is even. */
const SIZE = 9;

/** The step that is differentiated is not the first: its time embedding must be its own. */
const STEP = 1;

/** Every block, none but the last, and some: IN03 to IN07 are then skips that stay with the expert across two ranges. */
const PLANS: readonly AggregatedBlocks[] = ["all", "noise", ["IN02", "IN08", "M00", "OUT04"]];

/** Of the mean of one expert. */
const UNIFORM: DifferentiableAggregator = {
  backward: (_block, features, _conditioning, gradAggregated) =>
    Promise.resolve({
      gradFeatures: features.map(() => gradAggregated),
      gradParameters: new Map(),
    }),
};

/** What came out of each range of a way back, and tensors by name. */
type Walk = Map<string, F32Tensor>;

/** Writes down what an expert answers. */
function recorded(expert: ExpertBackward, walk: Walk): ExpertBackward {
  return {
    backward: async (range, signal): Promise<RangeGradients> => {
      const gradients = await expert.backward(range, signal);
      walk.set(`input of ${range.first}`, gradients.gradHiddenStates);
      for (const [block, gradient] of gradients.gradResiduals) {
        walk.set(`skip of ${block} for ${range.first}..${range.last}`, gradient);
      }
      return gradients;
    },
  };
}

/**
 * A step forward and the whole way back through one expert, differentiated by its session, or else by calls of the blocks of
 * `called`.
 */
async function walk(
  expert: Expert,
  config: SessionConfig,
  aggregated: AggregatedBlocks,
  called?: BlockExpert,
): Promise<Walk> {
  const { encoderHiddenStates, timesteps, batch } = config;
  const { blocks } = expert.description;
  const temb = await embedRows(expert, rowTimesteps(timesteps[STEP]!, batch));
  const conditioning = { temb, encoderHiddenStates };
  const session: ExpertSession = await expert.openSession({
    ...config,
    keepInputs: called === undefined,
  });
  const result: Walk = new Map();
  try {
    const latentModelInput = latentsFor(expert.description, config);
    const forwardTape = new ForwardTape(latentModelInput);
    const [noise] = await ensembleForward({
      sessions: [session],
      plan: aggregationPlan(blocks, aggregated),
      aggregation: { aggregator: new UniformAggregator(), conditioning },
      stepIndex: STEP,
      latentModelInput,
      onSegment: forwardTape.add,
    });
    const tape = forwardTape.entries;
    const backward = called
      ? new TapedExpert({ expert: called, ...conditioning, tape })
      : new SessionExpert(session, STEP);
    const { gradLatents } = await ensembleBackward({
      experts: [recorded(backward, result)],
      aggregator: UNIFORM,
      conditioning,
      tape,
      gradNoise: randomTensor(noise!.shape, 5),
    });
    result.set("latents", gradLatents);
  } finally {
    await session.close();
  }
  return result;
}

function assertSameBits(actual: Walk, expected: Walk, what: string) {
  assert.deepEqual([...actual.keys()], [...expected.keys()], what);
  for (const [name, b] of expected) {
    const a = actual.get(name);
    assert.deepEqual(a?.shape, b.shape, `${name} ${what}`);
    assert.ok(bitEqual(a!.data, b.data), `${name} ${what}`);
  }
}

async function assertSessionsAgree(
  expert: BlockExpert,
  plans: readonly AggregatedBlocks[],
  changes: Partial<SessionConfig> = {},
): Promise<void> {
  await using served = await serveExpert(expert);
  const config = { ...await sessionConfig(expert, SIZE), ...changes };
  for (const plan of plans) {
    const calls = await walk(expert, config, plan, expert);
    const local = await walk(expert, config, plan);
    assertSameBits(local, calls, `in this process, ${plan}`);
    for (const plane of PLANE_KINDS) {
      const remote = await connectExpert(served.worker.address, { transport: { plane } });
      try {
        const travelled = await walk(remote, config, plan);
        assertSameBits(travelled, local, `over ${plane}, ${plan}`);
      } finally {
        await remote.close();
      }
    }
  }
}

Deno.test("sessions give the gradients of single calls, bit for bit, over every plane", async () => {
  await assertSessionsAgree(new AffineExpert(), PLANS);
});

Deno.test("sessions of a real U-Net differentiate at the inputs of their own step", async () => {
  const expert = await openGoldenExpert();
  try {
    await assertSessionsAgree(expert, PLANS);
  } finally {
    await expert.close();
  }
});

Deno.test("rows at timesteps of their own have the gradients of single calls, too", async () => {
  const expert = await openGoldenExpert();
  try {
    const rows = { timesteps: [[901, 640], [20, 501]] };
    await assertSessionsAgree(expert, ["all"], rows);
    const config = { ...await sessionConfig(expert, SIZE), ...rows };
    const apart = await walk(expert, config, "all");
    const alike = await walk(expert, { ...config, timesteps: [1, 20] }, "all");
    const first = (tensor: F32Tensor) => sliceRows(tensor, 0, 1).data;
    const second = (tensor: F32Tensor) => sliceRows(tensor, 1, 2).data;
    const [one, other] = [apart.get("latents")!, alike.get("latents")!];
    assert.ok(bitEqual(first(one), first(other)));
    assert.ok(!bitEqual(second(one), second(other)));
  } finally {
    await expert.close();
  }
});

Deno.test("with aggregation after every block, OUT blocks give two tensors and others one", async () => {
  const expert = new AffineExpert();
  const walked = await walk(expert, await sessionConfig(expert, SIZE), "all");
  const skips = [...walked.keys()].filter((name) => name.startsWith("skip"));
  assert.equal(walked.size, 25 + 12 + 1);
  assert.deepEqual(skips.slice(0, 2), [
    "skip of IN00 for OUT11..OUT11",
    "skip of IN01 for OUT10..OUT10",
  ]);
});

Deno.test("a session without a way back says so", async () => {
  const expert = new AffineExpert();
  const session = await expert.openSession({ ...await sessionConfig(expert), keepInputs: true });
  const { backward: _, ...without } = session;
  const range = { first: "OUT11", last: "OUT11", gradOutput: f32([1]) };
  await assert.rejects(new SessionExpert(without, 0).backward(range), { code: "UNIMPLEMENTED" });
  await session.close();
});
