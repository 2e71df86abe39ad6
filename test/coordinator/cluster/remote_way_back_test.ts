import assert from "node:assert/strict";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { connectExpert, RemoteExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { type GradientDtype, transportTo } from "../../../coordinator/cluster/tensor_transport.ts";
import { WorkerClient } from "../../../coordinator/cluster/worker_client.ts";
import { listWorkerSessions } from "../../../coordinator/cluster/worker_status.ts";
import type {
  Expert,
  ExpertSession,
  SessionConfig,
  SessionGradients,
} from "../../../shared/engine/expert.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { sizeAtScale } from "../../../shared/models/blocks.ts";
import { bitEqual, difference } from "../../../shared/tensor/compare.ts";
import { copyTensor, f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { encodedBytes } from "../../../shared/wire/codec/wire_dtype.ts";
import { openedToMessage } from "../../../shared/wire/convert_session.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { workerService } from "../../../shared/wire/load_proto.ts";
import { sessionBytes } from "../../../worker/session_bytes.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, randomTensor, sessionConfig } from "../../support/expert_inputs.ts";
import { serveExpert } from "../../support/serve_expert.ts";

/** Of the noise of a session of 9 x 9 latent pixels. */
const GRAD_NOISE = randomTensor([2, 4, 9, 9], 6);

/** A session that keeps inputs, after a step whose features left it after IN05 and OUT10. */
async function openAndRun<S extends ExpertSession>(
  expert: Pick<Expert, "description"> & { openSession(config: SessionConfig): Promise<S> },
  config: SessionConfig,
): Promise<S> {
  const session = await expert.openSession({ ...config, keepInputs: true });
  let hiddenStates = latentsFor(expert.description, config);
  for (const [first, last] of [["IN00", "IN05"], ["IN06", "OUT10"], ["OUT11", "OUT11"]] as const) {
    const result = await session.forward({ stepIndex: 0, first, last, hiddenStates });
    hiddenStates = copyTensor(result.hiddenStates);
  }
  return session;
}

for (const plane of ["shm", "unix"] as const) {
  Deno.test(`what a way back cannot take costs one error and not the ${plane} plane`, async () => {
    const expert = new AffineExpert();
    await using served = await serveExpert(expert);
    const remote = await connectExpert(served.worker.address, { transport: { plane } });
    const config = await sessionConfig(expert, 9);
    const session = await openAndRun(remote, config);
    const good = { stepIndex: 0, first: "OUT11", last: "OUT11", gradOutput: GRAD_NOISE };
    const first = copyTensor((await session.backward(good)).gradHiddenStates);
    for (
      const [changes, code, message] of [
        [{ first: "OUT10" }, "FAILED_PRECONDITION", /must not cross OUT10/],
        [{ first: "OUT09", last: "OUT09" }, "FAILED_PRECONDITION", /next is \.\.OUT10, or/],
        [{ stepIndex: 1 }, "FAILED_PRECONDITION", /of step 0: current request is OUT11/],
        [{ first: "OUT12" }, "NOT_FOUND", /first must be one of IN00\.\.OUT11/],
        [{ gradOutput: f32([2, 4, 9, 8]) }, "INVALID_ARGUMENT", /grad_output must be float32/],
        [
          { gradOutput: f32(GRAD_NOISE.shape, GRAD_NOISE.data.map(() => NaN)) },
          "DATA_LOSS",
          /grad_hidden_states of affine OUT11 must be finite/,
        ],
      ] as const
    ) {
      await assert.rejects(session.backward({ ...good, ...changes }), { code, message });
      assert.equal(session.plane, plane);
      const { gradHiddenStates } = await session.backward(good);
      assert.ok(bitEqual(gradHiddenStates.data, first.data));
    }
    const next = { stepIndex: 0, first: "IN06", last: "OUT10", gradOutput: first };
    const { gradResiduals, travel } = await session.backward(next);
    assert.deepEqual([...gradResiduals.keys()], ["IN05"]);
    const skip = gradResiduals.get("IN05")!.data.byteLength;
    const input = inputBytesOf("IN06", expert, config);
    assert.deepEqual(travel, {
      plane,
      sentBytes: first.data.byteLength,
      receivedBytes: input + skip,
    });
    await remote.close();
  });

  Deno.test(`gradientBuffer() over ${plane}: the session's own memory, or none`, async () => {
    const expert = new AffineExpert();
    await using served = await serveExpert(expert);
    const remote = await connectExpert(served.worker.address, { transport: { plane } });
    const session = await openAndRun(remote, await sessionConfig(expert, 9));
    const range = { stepIndex: 0, first: "OUT11", last: "OUT11" };
    const expected = await session.backward({ ...range, gradOutput: GRAD_NOISE });
    const { data } = copyTensor(expected.gradHiddenStates);
    const buffer = session.gradientBuffer(range);
    assert.equal(buffer !== undefined, plane === "shm");
    buffer?.data.set(GRAD_NOISE.data);
    const again = await session.backward({ ...range, gradOutput: buffer ?? GRAD_NOISE });
    assert.ok(bitEqual(again.gradHiddenStates.data, data));
    assert.throws(() => session.gradientBuffer({ ...range, stepIndex: 1 }), /of step 0/);
    await remote.close();
  });
}

/** The three ranges of the way back, the gradient of each the input of the next. */
async function goBack(session: ExpertSession): Promise<SessionGradients[]> {
  const results: SessionGradients[] = [];
  let gradOutput: F32Tensor = GRAD_NOISE;
  for (const [first, last] of [["OUT11", "OUT11"], ["IN06", "OUT10"], ["IN00", "IN05"]] as const) {
    const result = await session.backward!({ stepIndex: 0, first, last, gradOutput });
    gradOutput = copyTensor(result.gradHiddenStates);
    const gradResiduals = [...result.gradResiduals].map(([id, skip]) =>
      [id, copyTensor(skip)] as const
    );
    results.push({
      ...result,
      gradHiddenStates: gradOutput,
      gradResiduals: new Map(gradResiduals),
    });
  }
  return results;
}

for (const plane of ["unix", "grpc"] as const) {
  Deno.test(`gradients over ${plane} have a wire dtype of their own, but for those of noise and latents`, async () => {
    const expert = new AffineExpert();
    await using served = await serveExpert(expert);
    const config = await sessionConfig(expert, 9);
    const local = await goBack(await openAndRun(expert, config));
    const limits = { f32: 0, bf16: 1e-2, int8: 4e-2 };
    for (const [gradientDtype, limit] of Object.entries(limits) as [GradientDtype, number][]) {
      const transport = { plane, gradientDtype };
      const remote = await connectExpert(served.worker.address, { transport });
      const session = await openAndRun(remote, config);
      const results = await goBack(session);
      const on = (elements: number) => encodedBytes(gradientDtype, elements);
      const inputs = ["OUT11", "IN06"].map((id) => on(inputBytesOf(id, expert, config) / 4));
      const skip = on(local[1]!.gradResiduals.get("IN05")!.data.length);
      const latents = inputBytesOf("IN00", expert, config);
      assert.deepEqual(results.map(({ travel }) => [travel!.sentBytes, travel!.receivedBytes]), [
        [GRAD_NOISE.data.byteLength, inputs[0]!],
        [inputs[0]!, inputs[1]! + skip],
        [inputs[1]!, latents],
      ]);
      for (const [i, { gradHiddenStates, gradResiduals }] of results.entries()) {
        const expected = local[i]!;
        const pairs = [
          [gradHiddenStates, expected.gradHiddenStates] as const,
          ...[...expected.gradResiduals].map(([id, skip]) =>
            [gradResiduals.get(id)!, skip] as const
          ),
        ];
        for (const [actual, right] of pairs) {
          const { relativeL2 } = difference(actual.data, right.data);
          assert.ok(relativeL2 <= limit, `${gradientDtype}, range ${i}: ${relativeL2}`);
          assert.equal(relativeL2 === 0, gradientDtype === "f32", "the others are lossy");
        }
      }
      await remote.close();
    }
  });
}

Deno.test("gradients are asked for after a whole step, of a session that keeps inputs", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert, 9);
  const hiddenStates = latentsFor(expert.description, config);
  const whole = { stepIndex: 0, first: "IN00", last: "OUT11" };
  for (
    const [keepInputs, message] of [
      [false, /must be opened with keep_inputs/],
      [true, /begins when all blocks of a step have run/],
    ] as const
  ) {
    const session = await served.remote.openSession({ ...config, keepInputs });
    await assert.rejects(session.backward({ ...whole, gradOutput: GRAD_NOISE }), {
      code: "FAILED_PRECONDITION",
      message,
    });
    await session.forward({ ...whole, hiddenStates });
    if (keepInputs) await session.backward({ ...whole, gradOutput: GRAD_NOISE });
    await session.close();
  }
});

Deno.test("admission counts what a session keeps for the way back", async () => {
  const expert = new AffineExpert();
  const config = await sessionConfig(expert, 9);
  const size = { batch: 2, height: 9, width: 9, tokens: 7, timesteps: 3 };
  const [plain, kept] = [false, true].map((keepInputs) =>
    sessionBytes(expert.description, { ...size, keepInputs })
  ) as [number, number];
  assert.ok(kept > plain);
  {
    await using served = await serveExpert(expert, { limits: { sessionBytes: kept } });
    const session = await served.remote.openSession({ ...config, keepInputs: true });
    const [listed] = await listWorkerSessions(served.worker.address);
    assert.equal(listed!.arenaBytes, kept);
    await session.close();
  }
  await using served = await serveExpert(expert, { limits: { sessionBytes: kept - 1 } });
  await assert.rejects(served.remote.openSession({ ...config, keepInputs: true }), {
    code: "RESOURCE_EXHAUSTED",
    message: new RegExp(`no room for this session: ${kept} bytes for one session were asked for`),
  });
  await (await served.remote.openSession(config)).close();
});

Deno.test("skips' gradients that are missing or too many are refused", async () => {
  const expert = new AffineExpert();
  const openSession = expert.openSession.bind(expert);
  let lie = (gradients: SessionGradients) => gradients;
  expert.openSession = async (config) => {
    const session = await openSession(config);
    const backward = session.backward!;
    return { ...session, backward: async (...args) => lie(await backward(...args)) };
  };
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert, 9);
  for (const skips of [[], ["IN00", "IN05"]]) {
    const session = await openAndRun(served.remote, config);
    const range = { stepIndex: 0, first: "OUT11", last: "OUT11", gradOutput: GRAD_NOISE };
    lie = (gradients) => gradients;
    const { gradHiddenStates } = await session.backward(range);
    const gradOutput = copyTensor(gradHiddenStates);
    lie = (gradients) => ({
      ...gradients,
      gradResiduals: new Map(skips.map((id) => [id, gradients.gradResiduals.get("IN05")!])),
    });
    await assert.rejects(session.backward({ ...range, first: "IN06", last: "OUT10", gradOutput }), {
      name: "WorkerError",
      code: "INTERNAL",
      message: /grad_skips must be of \[IN05\]: current value is \[/,
    });
    await session.close();
  }
});

Deno.test("a socket that fails on the way back is given up; the range comes again over gRPC", async () => {
  const expert = new AffineExpert();
  const openSession = expert.openSession.bind(expert);
  let refusals = 1;
  expert.openSession = async (config) => {
    const session = await openSession(config);
    return {
      ...session,
      gradientBuffer: (range) => {
        if (range.first === "IN06" && refusals-- > 0) {
          throw new TuttiError("FAILED_PRECONDITION", "Not now");
        }
        return session.gradientBuffer!(range);
      },
    };
  };
  await using served = await serveExpert(expert);
  const remote = await connectExpert(served.worker.address, { transport: { plane: "unix" } });
  const session = await openAndRun(remote, await sessionConfig(expert, 9));
  const noise = { stepIndex: 0, first: "OUT11", last: "OUT11", gradOutput: GRAD_NOISE };
  const gradOutput = copyTensor((await session.backward(noise)).gradHiddenStates);
  const range = { stepIndex: 0, first: "IN06", last: "OUT10", gradOutput };
  // The gradient was on its way when the worker refused it.
  await assert.rejects(session.backward(range), {
    code: "FAILED_PRECONDITION",
    message: /Not now/,
    details: {
      worker: served.worker.address,
      plane: "unix",
      planeState: "lost",
      block: "IN06",
      stepIndex: "0",
    },
  });
  assert.equal(session.plane, undefined);
  const { gradHiddenStates, gradResiduals, travel } = await session.backward(range);
  assert.equal(travel?.plane, "grpc");
  await remote.close();

  const local = await openAndRun(expert, await sessionConfig(expert, 9));
  await local.backward!(noise);
  const expected = await local.backward!(range);
  assert.ok(bitEqual(gradHiddenStates.data, expected.gradHiddenStates.data));
  const [skip, expectedSkip] = [gradResiduals, expected.gradResiduals].map((m) => m.get("IN05")!);
  assert.ok(bitEqual(skip!.data, expectedSkip!.data));
  await local.close();
});

Deno.test("a worker that does not know what is asked of the way back is found out before a tensor travels", async () => {
  let opened = { sessionId: "s1", arenaBytes: 0, offers: [], keepInputs: false };
  const server = new Server();
  server.addService(workerService(), {
    session: (call: ServerDuplexStream<Message, Message>) => {
      call.on("data", () => call.write(openedToMessage({ ...opened, gradientDtype: "f32" })));
      call.on("end", () => call.end());
    },
  });
  const listening = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error) listening.reject(error);
    else listening.resolve(port);
  });
  const address = `127.0.0.1:${await listening.promise}`;
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const old = new RemoteExpert(new WorkerClient(address), {
    ...served.remote,
    expert: expert.description,
  }, transportTo(address, { gradientDtype: "bf16" }));
  try {
    const config = { ...await sessionConfig(expert), keepInputs: true };
    await assert.rejects(old.openSession(config), {
      name: "WorkerError",
      code: "FAILED_PRECONDITION",
      message: /keeps no inputs for a way back: it is an older version of Tutti/,
    });
    opened = { ...opened, keepInputs: true };
    await assert.rejects(old.openSession(config), {
      name: "WorkerError",
      code: "FAILED_PRECONDITION",
      message: /sends gradients as f32, not as bf16: .* update it, or choose --gradient-dtype f32/,
    });
  } finally {
    await old.close();
    server.forceShutdown();
  }
});

/** Bytes of the input of a block. */
function inputBytesOf(
  id: string,
  { description }: Expert,
  { batch, height, width }: SessionConfig,
) {
  const block = description.blocks.find((candidate) => candidate.id === id)!;
  const [h, w] = [height, width].map((size) => sizeAtScale(size, block.inScale));
  return batch * block.inChannels * h! * w! * 4;
}
