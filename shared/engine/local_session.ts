/**
 * One image batch on one expert in this process: remembers what later blocks need (skips, time
 * embeddings, text states), so each call brings one tensor and takes one away. All its feature maps lie in one arena.
 *
 * @module
 */

import { ShapeError, throwIfAborted, TuttiError } from "../errors.ts";
import { type BlockId, blockIndex, requireBlockIndex } from "../models/blocks.ts";
import { checkTensor } from "../tensor/check.ts";
import type { F32Tensor } from "../tensor/tensor.ts";
import { noInputsKept } from "./backward_order.ts";
import type { BlockExpert, StatelessForward } from "./block_expert.ts";
import type {
  ExpertSession,
  ForwardRange,
  ForwardResult,
  SessionBackward,
  SessionConfig,
  SessionGradients,
} from "./expert.ts";
import { OneRange } from "./one_range.ts";
import { arenaLayout, sameMemory, SessionArena } from "./session_arena.ts";
import { embedSteps } from "./step_tembs.ts";
import { WayBack } from "./way_back.ts";

export class LocalSession implements ExpertSession {
  readonly #expert: BlockExpert;
  readonly #config: SessionConfig;
  /** f32 `[B, Dt]` of a step. */
  readonly #tembOf: (stepIndex: number) => F32Tensor;
  readonly #arena: SessionArena;
  readonly #job: string;
  /** Of a session that keeps inputs. */
  readonly #wayBack: WayBack | undefined;
  /** Index of the block that may come next; 0 means that a new step starts. */
  #position = 0;
  #stepIndex = -1;
  readonly #ranges = new OneRange();
  #closed = false;

  private constructor(
    expert: BlockExpert,
    config: SessionConfig,
    tembOf: (stepIndex: number) => F32Tensor,
  ) {
    this.#expert = expert;
    this.#config = config;
    this.#tembOf = tembOf;
    this.#job = config.job ?? crypto.randomUUID();
    this.#arena = new SessionArena(
      arenaLayout(expert.description.blocks, config),
      config.memory,
    );
    this.#wayBack = config.keepInputs ? this.#openWayBack() : undefined;
  }

  inputBuffer(range: Omit<ForwardRange, "hiddenStates">): F32Tensor {
    const { first } = this.#locate(range);
    // Whoever asks may write, and then the input of the step before is gone.
    this.#wayBack?.order.interrupt();
    return this.#arena.input(first);
  }

  /** @throws {ShapeError} if the config does not fit the expert */
  static async open(expert: BlockExpert, config: SessionConfig): Promise<LocalSession> {
    const { batch, height, width, encoderHiddenStates } = config;
    for (const [name, value] of Object.entries({ batch, height, width })) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new ShapeError(`${name} must be a whole number >= 1: current value is ${value}`);
      }
    }
    const tokens = Math.max(1, encoderHiddenStates.shape[1] ?? 0);
    const shape = [batch, tokens, expert.description.crossAttentionDim];
    checkTensor("encoder_hidden_states", encoderHiddenStates, "float32", shape);
    return new LocalSession(expert, config, await embedSteps(expert, config));
  }

  forward(range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult> {
    return this.#ranges.alone(range, () => this.#forward(range, signal));
  }

  restore(range: ForwardRange): Promise<void> {
    // Async, so that a refusal is a rejection.
    // deno-lint-ignore require-await
    return this.#ranges.alone(range, async () => this.#restore(range));
  }

  gradientBuffer(range: Omit<SessionBackward, "gradOutput">): F32Tensor {
    return this.#openedWayBack().gradientBuffer(range);
  }

  backward(range: SessionBackward, signal?: AbortSignal): Promise<SessionGradients> {
    return this.#ranges.alone(range, () => this.#openedWayBack().run(range, signal));
  }

  #restore(range: ForwardRange): void {
    const { first, last } = this.#locate(range);
    const { blocks } = this.#expert.description;
    if (this.#wayBack) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        "A session that keeps inputs must compute them again: it cannot be restored",
        { details: { field: "keep_inputs" } },
      );
    }
    const passed = blocks.slice(first, last).map(({ id }) => id);
    const wanting = blocks.slice(last + 1).find(({ skipFrom }) => passed.includes(skipFrom ?? ""));
    if (wanting) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `Blocks ${range.first}..${range.last} cannot be passed over: ${wanting.id} takes the output ` +
          `of ${wanting.skipFrom} as its skip`,
        { details: { block: range.first } },
      );
    }
    this.#takeInput(first, range);
    this.#position = (last + 1) % blocks.length;
  }

  #takeInput(first: number, { hiddenStates, stepIndex }: ForwardRange): void {
    const input = this.#arena.input(first);
    checkTensor("hidden_states", hiddenStates, "float32", input.shape);
    if (!sameMemory(hiddenStates, input)) input.data.set(hiddenStates.data);
    this.#stepIndex = stepIndex;
  }

  async #forward(range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult> {
    const { first, last } = this.#locate(range);
    const { blocks } = this.#expert.description;
    this.#takeInput(first, range);
    // A range that fails half-way cannot be continued: only a new step may follow.
    this.#position = 0;
    this.#wayBack?.order.interrupt();
    if (first === 0) this.#expert.loadAhead?.();

    const temb = this.#tembOf(range.stepIndex);
    let computeMs = 0, queueMs = 0, loadMs = 0;
    for (let index = first; index <= last; index++) {
      throwIfAborted(signal);
      const output = this.#outputOf(index, last);
      const request = { ...this.#request(index, temb), job: this.#job, output };
      const result = await this.#expert.forwardBlock(request, signal);
      computeMs += result.computeMs;
      queueMs += result.queueMs;
      loadMs += result.loadMs;
    }
    this.#position = (last + 1) % blocks.length;
    this.#wayBack?.order.ran(first, last, range.stepIndex);
    return { hiddenStates: this.#arena.result(last), computeMs, queueMs, loadMs };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  /** What a block is called with. */
  #request(index: number, temb: F32Tensor): StatelessForward {
    const block = this.#expert.description.blocks[index]!;
    const [, , height = 0, width = 0] = this.#arena.result(index).shape;
    return {
      block: block.id,
      hiddenStates: this.#arena.input(index),
      temb,
      encoderHiddenStates: this.#config.encoderHiddenStates,
      ...(block.skipFrom !== undefined && { residual: this.#residual(block.skipFrom) }),
      ...(block.upsamples && { targetSize: [height, width] as const }),
    };
  }

  #openWayBack(): WayBack {
    return new WayBack({
      blocks: this.#expert.description.blocks,
      arena: this.#arena,
      differentiate: (index, gradOutput, signal) => {
        const request = this.#request(index, this.#tembOf(this.#stepIndex));
        return this.#expert.backwardBlock({ ...request, job: this.#job, gradOutput }, signal);
      },
    });
  }

  #openedWayBack(): WayBack {
    if (this.#closed) throw closedError();
    if (this.#wayBack) return this.#wayBack;
    throw noInputsKept();
  }

  /** Indices of the range's ends. Refuses what is unknown, out of order, or of another step. */
  #locate(
    { first, last, stepIndex }: Omit<ForwardRange, "hiddenStates">,
  ): { first: number; last: number } {
    if (this.#closed) throw closedError();
    const { blocks } = this.#expert.description;
    const { timesteps } = this.#config;
    if (!(Number.isSafeInteger(stepIndex) && 0 <= stepIndex && stepIndex < timesteps.length)) {
      throw new TuttiError(
        "OUT_OF_RANGE",
        `step_index must lie in 0..${timesteps.length - 1}: current value is ${stepIndex}`,
      );
    }
    const from = requireBlockIndex(blocks, "first", first);
    const to = requireBlockIndex(blocks, "last", last);
    const inOrder = from === 0 || (from === this.#position && stepIndex === this.#stepIndex);
    if (!inOrder || to < from) {
      const wanted = this.#position === 0
        ? `${blocks[0]!.id} (a new step)`
        : `${blocks[this.#position]!.id} of step ${this.#stepIndex}, or ${
          blocks[0]!.id
        } of a new one`;
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `Blocks must run in order: next is ${wanted}: current request is ${first}..${last} of step ${stepIndex}`,
        { details: { block: first } },
      );
    }
    return { first: from, last: to };
  }

  /** Within a range a block writes where the next one reads. */
  #outputOf(index: number, last: number): F32Tensor {
    return index === last ? this.#arena.result(index) : this.#arena.input(index + 1);
  }

  /** The input of the block after `producer` is its (aggregated) output: skips never travel twice. */
  #residual(producer: BlockId): F32Tensor {
    return this.#arena.input(blockIndex(this.#expert.description.blocks, producer) + 1);
  }
}

function closedError(): TuttiError {
  return new TuttiError("FAILED_PRECONDITION", "The session is closed");
}
