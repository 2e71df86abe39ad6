import assert from "node:assert/strict";
import { readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { bytesOf, f32, type F32Tensor, tensorFromBytes } from "../../../shared/tensor/tensor.ts";
import {
  backwardToMessage,
  eventFromMessage,
  forwardToMessage,
  openToMessage,
  pieceToMessage,
  usePlaneToMessage,
} from "../../../shared/wire/convert_session.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { errorFromMessage } from "../../../shared/wire/status.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, randomTensor, sessionConfig } from "../../support/expert_inputs.ts";
import { NO_PLANES, RawSession } from "../../support/raw_session.ts";
import { serveExpert } from "../../support/serve_expert.ts";

const GRAD_NOISE = randomTensor([2, 4, 8, 8], 3);
const expert = new AffineExpert();

/** A client that follows the .proto file and nothing else: what our own would never send reaches the worker. */
class Stranger implements Disposable {
  readonly #raw: RawSession;
  #sent = 0;

  constructor(address: string) {
    this.#raw = new RawSession(address);
  }

  async open(changes: Message = {}): Promise<void> {
    const config = { ...await sessionConfig(expert), keepInputs: true };
    const { open } = openToMessage(config, expert.description.modelHash, NO_PLANES);
    await this.ask("opened", { open: { ...open as Message, ...changes } });
  }

  /** Tensors are numbered anew. */
  async usePlane(): Promise<void> {
    this.#sent = 0;
    const use = { plane: "grpc", proof: new Uint8Array() } as const;
    await this.ask("planeInUse", usePlaneToMessage(use));
  }

  /** A step whose features leave the session after M00. */
  async step(): Promise<void> {
    const config = await sessionConfig(expert);
    let hiddenStates = latentsFor(expert.description, config);
    for (const [first, last] of [["IN00", "M00"], ["OUT00", "OUT11"]] as const) {
      const range = { stepIndex: 0, first, last };
      const event = await this.ask("result", forwardToMessage(range, { hiddenStates }));
      assert.ok(event.kind === "result" && event.output.head);
      hiddenStates = await this.piece(event.output.head.shape);
    }
  }

  sendBackward(first: string, last: string, gradOutput: F32Tensor, head: object = {}): void {
    const announced = {
      shape: gradOutput.shape,
      wireDtype: "f32",
      sequence: this.#sent++,
    } as const;
    const range = { stepIndex: 0, first, last };
    this.#raw.send(backwardToMessage(range, { ...announced, ...head }));
    this.#raw.send(pieceToMessage(bytesOf(gradOutput)));
  }

  async ask(kind: string, message: Message) {
    this.#raw.send(message);
    return await this.expect(kind);
  }

  async expect(kind: string) {
    const answer = await this.#raw.next();
    assert.ok("event" in answer, `the stream ended: ${JSON.stringify(answer)}`);
    const { event, error } = answer.event;
    assert.equal(event, kind, error ? errorFromMessage(error).message : "");
    return eventFromMessage(answer.event);
  }

  async refused(code: string, message: RegExp): Promise<void> {
    const event = await this.expect("error");
    assert.ok(event.kind === "error");
    const error = errorFromMessage(event.error);
    assert.equal(error.code, code);
    assert.match(error.message, message);
  }

  /** A tensor that is no longer than a piece. */
  async piece(shape: readonly number[]): Promise<F32Tensor> {
    const event = await this.expect("piece");
    assert.ok(event.kind === "piece");
    return tensorFromBytes("float32", shape, event.data);
  }

  [Symbol.dispose](): void {
    this.#raw[Symbol.dispose]();
  }
}

Deno.test("BackwardRange: one head per tensor, in the stated order, then the tensors in that order", async () => {
  await using served = await serveExpert(expert);
  using stranger = new Stranger(served.worker.address);
  await stranger.open();
  await stranger.usePlane();
  await stranger.step();
  stranger.sendBackward("OUT09", "OUT11", GRAD_NOISE);
  const inside = await stranger.expect("gradients");
  assert.ok(inside.kind === "gradients");
  assert.deepEqual(inside.gradSkips, [], "these skips never left the session");
  assert.deepEqual(inside.gradHiddenStates, { shape: [2, 8, 8, 8], wireDtype: "f32", sequence: 2 });
  const gradient = await stranger.piece(inside.gradHiddenStates.shape);

  // The same in one go, by the session of this process.
  const local = await expert.openSession({ ...await sessionConfig(expert), keepInputs: true });
  const hiddenStates = latentsFor(expert.description, await sessionConfig(expert));
  await local.forward({ stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates });
  const range = { stepIndex: 0, first: "OUT09", last: "OUT11", gradOutput: GRAD_NOISE };
  assert.ok(bitEqual((await local.backward!(range)).gradHiddenStates.data, gradient.data));
  await local.close();
  assert.deepEqual((await readWorkerStatus(served.worker.address)).sessions, 1);
});

Deno.test("BackwardRange: what must not come gets one error each, and the next good one gradients", async () => {
  await using served = await serveExpert(expert);
  using stranger = new Stranger(served.worker.address);
  const good = async () => {
    stranger.sendBackward("OUT11", "OUT11", GRAD_NOISE);
    const event = await stranger.expect("gradients");
    assert.ok(event.kind === "gradients");
    await stranger.piece(event.gradHiddenStates.shape);
  };
  await stranger.open();
  stranger.sendBackward("OUT11", "OUT11", GRAD_NOISE);
  await stranger.refused(
    "FAILED_PRECONDITION",
    /the session uses none: choose one with use_plane$/,
  );
  await stranger.usePlane();
  stranger.sendBackward("OUT11", "OUT11", GRAD_NOISE);
  await stranger.refused("FAILED_PRECONDITION", /^The way back begins when all blocks of a step/);
  await stranger.step();
  await good();
  for (
    const [first, last, head, code, message] of [
      [
        "OUT09",
        "OUT09",
        {},
        "FAILED_PRECONDITION",
        /next is \.\.OUT10, or \.\.OUT11 to begin again/,
      ],
      ["M00", "OUT11", {}, "FAILED_PRECONDITION", /must not cross M00/],
      ["OUT11", "OUT12", {}, "NOT_FOUND", /last must be one of IN00\.\.OUT11/],
      [
        "OUT11",
        "OUT11",
        { shape: [2, 4, 8, 7] },
        "INVALID_ARGUMENT",
        /^grad_output must be float32 \[2, 4, 8, 8\]: current value is float32 \[2, 4, 8, 7\]/,
      ],
    ] as const
  ) {
    stranger.sendBackward(first, last, GRAD_NOISE, head);
    await stranger.refused(code, message);
    await good();
  }
});

Deno.test("BackwardRange in a session that keeps no inputs is refused, and the session goes on", async () => {
  await using served = await serveExpert(expert);
  using stranger = new Stranger(served.worker.address);
  await stranger.open({ keepInputs: false });
  await stranger.usePlane();
  await stranger.step();
  stranger.sendBackward("OUT11", "OUT11", f32([2, 4, 8, 8]));
  await stranger.refused("FAILED_PRECONDITION", /^A session must be opened with keep_inputs/);
  await stranger.step();
});
