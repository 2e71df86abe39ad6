import assert from "node:assert/strict";
import { connectExpert, type RemoteExpert } from "../../../coordinator/cluster/remote_expert.ts";
import {
  checkWireBlocks,
  dtypesOnTheWay,
  parseWireDtypes,
  type TransportOptions,
  transportTo,
  withGradients,
  withWireDtypes,
  type WorkerFallback,
} from "../../../coordinator/cluster/tensor_transport.ts";
import { listWorkerSessions } from "../../../coordinator/cluster/worker_status.ts";
import type { Expert, ExpertSession, SessionConfig } from "../../../shared/engine/expert.ts";
import { bitEqual, difference } from "../../../shared/tensor/compare.ts";
import { copyTensor, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { encodedBytes, type WireDtype } from "../../../shared/wire/codec/wire_dtype.ts";
import { MAX_PIECE_BYTES } from "../../../shared/wire/limits.ts";
import { PLANE_KINDS } from "../../../shared/wire/plane/plane_kind.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { Hold } from "../../support/hold.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";

/** Latents of this side have feature maps of more than one piece, and the last one is no whole piece. */
const LARGE = 252;

/** Connects once more to a worker, another way. */
async function connected(
  served: { readonly worker: { readonly address: string } },
  transport: TransportOptions,
): Promise<RemoteExpert & AsyncDisposable> {
  const remote = await connectExpert(served.worker.address, { transport });
  return Object.assign(remote, { [Symbol.asyncDispose]: () => remote.close() });
}

/** Two steps of a session, block by block: in the second the input is written where the session wants it. */
async function walk(expert: Expert, config: SessionConfig): Promise<Map<string, F32Tensor>> {
  const outputs = new Map<string, F32Tensor>();
  const session = await expert.openSession(config);
  try {
    for (const stepIndex of [0, 1]) {
      let hiddenStates = latentsFor(expert.description, config, stepIndex + 1);
      for (const { id } of expert.description.blocks) {
        const range = { stepIndex, first: id, last: id };
        const buffer = stepIndex === 1 ? session.inputBuffer(range) : undefined;
        buffer?.data.set(hiddenStates.data);
        const result = await session.forward({ ...range, hiddenStates: buffer ?? hiddenStates });
        hiddenStates = copyTensor(result.hiddenStates);
        outputs.set(`${id} of step ${stepIndex}`, hiddenStates);
      }
    }
  } finally {
    await session.close();
  }
  return outputs;
}

/** Relative L2 of what two walks have in common. */
function errors(a: Map<string, F32Tensor>, b: Map<string, F32Tensor>): Map<string, number> {
  return new Map(
    [...a].map(([name, { data }]) => [name, difference(data, b.get(name)!.data).relativeL2]),
  );
}

Deno.test("every plane carries the same bits as no plane at all", async () => {
  const expert = await openGoldenExpert("a");
  try {
    await using served = await serveExpert(expert);
    const config = await sessionConfig(expert, 9);
    const local = await walk(expert, config);
    for (const plane of PLANE_KINDS) {
      await using remote = await connected(served, { plane });
      for (const [name, { data }] of await walk(remote, config)) {
        assert.ok(bitEqual(data, local.get(name)!.data), `${name} over ${plane}`);
      }
    }
  } finally {
    await expert.close();
  }
});

Deno.test("feature maps of more than a MiB travel in pieces, whatever the dtype", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const config = { ...await sessionConfig(expert, LARGE), batch: 2 };
  const hiddenStates = latentsFor(expert.description, config);
  const range = { stepIndex: 0, first: "IN00", last: "IN01" };
  const local = await expert.openSession(config);
  const { hiddenStates: expected } = await local.forward({ ...range, hiddenStates });
  assert.ok(expected.data.byteLength > MAX_PIECE_BYTES);
  const limits = { f32: 0, f16: 1e-3, bf16: 1e-2, int8: 2e-2 };
  for (const plane of ["unix", "grpc"] as const) {
    for (const [dtype, limit] of Object.entries(limits)) {
      await using remote = await connected(served, { plane, wireDtypes: parseWireDtypes(dtype) });
      const session = await remote.openSession(config);
      const result = await session.forward({ ...range, hiddenStates });
      const { relativeL2 } = difference(result.hiddenStates.data, expected.data);
      assert.ok(relativeL2 <= limit, `${dtype} over ${plane}: ${relativeL2}`);
      assert.equal(relativeL2 === 0, dtype === "f32", `${dtype} is lossy`);
      const bytes = encodedBytes(dtype as WireDtype, expected.data.length);
      assert.equal(result.travel?.receivedBytes, bytes);
      assert.equal(result.travel?.sentBytes, hiddenStates.data.length * 4, "latents are exact");
      await session.close();
    }
  }
  await local.close();
});

Deno.test("a wire dtype changes every block but the noise, and an exception only its block", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const local = await walk(expert, config);
  await using half = await connected(served, { wireDtypes: parseWireDtypes("f16") });
  const all = errors(await walk(half, config), local);
  assert.ok(all.get("IN00 of step 0")! > 0 && all.get("IN00 of step 0")! < 1e-3);
  await using one = await connected(served, { wireDtypes: parseWireDtypes("f32,OUT10=int8") });
  const exception = errors(await walk(one, config), local);
  for (const [name, error] of exception) {
    const isAfter = name.startsWith("OUT10") || name.startsWith("OUT11");
    assert.equal(error > 0, isAfter, `${name}: ${error}`);
  }
  // The noise's own bits are exact: it differs as its input did, and is the same from both ends.
  const noise = exception.get("OUT11 of step 0")!;
  assert.ok(noise > 0 && noise < 1e-2);
});

Deno.test("auto takes shared memory on one host; the worker's list shows the plane", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const fallbacks: WorkerFallback[] = [];
  await using remote = await connected(served, { onFallback: (f) => void fallbacks.push(f) });
  const session = await remote.openSession(await sessionConfig(expert));
  const [listed] = await listWorkerSessions(served.worker.address);
  assert.deepEqual([session.plane, listed!.plane], ["shm", "shm"]);
  // Mapped by both ends, its name is gone.
  assert.deepEqual(regionNames(), []);
  await session.close();
  assert.deepEqual(fallbacks, []);
});

Deno.test("auto takes what the worker offers; a plane that is asked for and not offered is an error", async () => {
  const expert = new AffineExpert();
  for (
    const [planes, taken] of [[["tcp"], "tcp"], [["unix", "tcp"], "unix"], [[], "grpc"]] as const
  ) {
    await using served = await serveExpert(expert, { planes });
    const session = await served.remote.openSession(await sessionConfig(expert));
    assert.equal(session.plane, taken);
    await session.close();
    await using forced = await connected(served, { plane: "shm" });
    await assert.rejects(forced.openSession(await sessionConfig(expert)), {
      name: "WorkerError",
      code: "FAILED_PRECONDITION",
      message:
        /^Worker 127\.0\.0\.1:\d+ cannot be reached over plane shm: the worker does not offer it$/,
    });
    await eventually(() => expert.openSessions === 0);
  }
});

Deno.test("--plane shm with another dtype than f32 is a contradiction", async () => {
  await using served = await serveExpert(new AffineExpert());
  await assert.rejects(
    connected(served, { plane: "shm", wireDtypes: parseWireDtypes("f16") }),
    { name: "UsageError", message: "--plane shm carries f32: current --wire-dtype is f16" },
  );
});

Deno.test("shared memory is no plane for gradients that are not f32", () => {
  const address = "127.0.0.1:7070";
  const exact = transportTo(address);
  assert.deepEqual(withGradients(exact), exact);
  assert.ok(exact.planes.includes("shm"));
  const rounded = transportTo(address, { gradientDtype: "bf16" });
  assert.ok(rounded.planes.includes("shm"), "without gradients on the way there is no reason");
  assert.ok(!withGradients(rounded).planes.includes("shm"));
  assert.throws(() => transportTo(address, { plane: "shm", gradientDtype: "bf16" }), {
    name: "UsageError",
    message: "--plane shm carries f32: current --gradient-dtype is bf16",
  });
  const { wireDtypes, gradientDtype } = transportTo("10.0.0.7:7070");
  assert.deepEqual([wireDtypes.all, gradientDtype], ["f16", "bf16"]);
});

Deno.test("workers of one expert get the same numbers, here and elsewhere", () => {
  const dtypes = dtypesOnTheWay({}, true);
  const here = transportTo("127.0.0.1:7070", dtypes);
  const elsewhere = transportTo("10.0.0.7:7070", dtypes);
  // What a job leaves open, and what it asks for.
  for (const [job, all] of [["auto", "f16"], ["f32", "f32"], ["auto,OUT08=int8", "f16"]] as const) {
    const [one, other] = [here, elsewhere].map((transport, i) =>
      withWireDtypes(["127.0.0.1:7070", "10.0.0.7:7070"][i]!, transport, parseWireDtypes(job))
    );
    assert.equal(one!.wireDtypes.all, all);
    assert.deepEqual(one!.wireDtypes, other!.wireDtypes);
    assert.equal(one!.gradientDtype, other!.gradientDtype);
  }
});

Deno.test("parseWireDtypes() reads one dtype and its exceptions, and refuses others", () => {
  assert.deepEqual(parseWireDtypes("auto"), { blocks: new Map() });
  assert.deepEqual(parseWireDtypes("f16, IN00=f32 ,OUT08=int8"), {
    all: "f16",
    blocks: new Map([["IN00", "f32"], ["OUT08", "int8"]]),
  });
  for (
    const wrong of [
      "",
      "f64",
      "f16,f32",
      "f16,OUT08",
      "f16,OUT08=",
      "f16,OUT08=f64",
      "f16,ZZ01=f32",
    ]
  ) {
    assert.throws(() => parseWireDtypes(wrong), { name: "UsageError", message: /--wire-dtype/ });
  }
});

Deno.test("checkWireBlocks() names a block that the experts do not have", () => {
  const { blocks } = new AffineExpert().description;
  for (const right of ["auto", "f16", "f16,IN00=f32,OUT11=int8"]) {
    checkWireBlocks(parseWireDtypes(right), blocks);
  }
  assert.throws(() => checkWireBlocks(parseWireDtypes("f16,IN00=f32,OUT99=int8"), blocks), {
    name: "UsageError",
    message: '--wire-dtype must name blocks among IN00..OUT11: current value is "OUT99"',
  });
});

Deno.test("what the session refuses on a plane costs nothing but, on a socket, the plane", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  for (const plane of PLANE_KINDS) {
    const fallbacks: string[] = [];
    await using remote = await connected(served, {
      plane,
      onFallback: (fallback) => void fallbacks.push(fallback.plane),
    });
    const config = await sessionConfig(expert);
    const session = await remote.openSession(config);
    const hiddenStates = latentsFor(expert.description, config);
    const first = await session.forward({
      stepIndex: 0,
      first: "IN00",
      last: "IN02",
      hiddenStates,
    });
    const next = copyTensor(first.hiddenStates);
    // Out of order, with a feature map of the right shape on its way.
    await assert.rejects(
      session.forward({ stepIndex: 0, first: "IN02", last: "IN02", hiddenStates: next }),
      { code: "FAILED_PRECONDITION", message: /Blocks must run in order/ },
    );
    const isSocket = plane === "unix" || plane === "tcp";
    assert.deepEqual(fallbacks, isSocket ? [plane] : []);
    // The refused command did nothing.
    await session.forward({ stepIndex: 0, first: "IN03", last: "OUT11", hiddenStates: next });
    assert.equal(session.plane, isSocket ? "grpc" : plane);
    await session.close();
  }
});

Deno.test("a forward that is cancelled in the middle ends the session, on every plane", async () => {
  for (const plane of PLANE_KINDS) {
    const hold = new Hold("IN02");
    const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
    await using served = await serveExpert(expert);
    await using remote = await connected(served, { plane });
    const config = await sessionConfig(expert);
    const session = await remote.openSession(config);
    const abort = new AbortController();
    const hiddenStates = latentsFor(expert.description, config);
    const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates };
    const forward = session.forward(range, abort.signal);
    await hold.reached;
    abort.abort();
    await assert.rejects(forward, { code: "CANCELLED" });
    await eventually(() => expert.openSessions === 0);
    await session.close();
  }
});

Deno.test("NaN on its way is no business of the plane, and of the worker it is", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  for (const dtype of ["f32", "f16"]) {
    await using remote = await connected(served, {
      plane: "unix",
      wireDtypes: parseWireDtypes(dtype),
    });
    const config = await sessionConfig(expert);
    const session = await remote.openSession(config);
    const hiddenStates = latentsFor(expert.description, config);
    const poisoned = copyTensor(hiddenStates);
    poisoned.data[3] = NaN;
    const range = { stepIndex: 0, first: "IN00", last: "IN00" };
    await assert.rejects(session.forward({ ...range, hiddenStates: poisoned }), {
      code: "DATA_LOSS",
    });
    await session.forward({ ...range, hiddenStates });
    await session.close();
  }
});

/** Regions that anybody could still open. */
function regionNames(): string[] {
  return [...Deno.readDirSync("/dev/shm")].map(({ name }) => name)
    .filter((name) => name.startsWith(`tutti-${Deno.pid}-`));
}

Deno.test("sessions leave no descriptor, socket or region behind", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const run = async (session: ExpertSession) => {
    const hiddenStates = latentsFor(expert.description, config);
    await session.forward({ stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates });
    await session.close();
  };
  const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
  for (const plane of PLANE_KINDS) {
    await using remote = await connected(served, { plane });
    await run(await remote.openSession(config));
    await eventually(() => expert.openSessions === 0);
    const before = descriptors();
    for (let i = 0; i < 5; i++) await run(await remote.openSession(config));
    await eventually(() => descriptors() <= before);
    assert.deepEqual(regionNames(), []);
  }
});
