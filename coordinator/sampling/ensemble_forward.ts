/**
 * One forward pass of the ensembled U-Net (`docs/spec.md`, "Ensembled forward"): every expert runs a block on the same features, the
 * aggregator makes one feature map of theirs, and that is the next block's input for all.
 *
 * @module
 */

import type { ExpertSession, ForwardResult } from "../../shared/engine/expert.ts";
import { throwIfAborted } from "../../shared/errors.ts";
import { inSpan } from "../../shared/telemetry/tracing.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { AggregationConditioning, Aggregator } from "./aggregation.ts";
import type { Segment } from "./aggregation_plan.ts";
import { sideBySide } from "./side_by_side.ts";

/** What one segment took and gave. */
export interface SegmentReport extends Segment {
  readonly stepIndex: number;
  /** Of the step's rows, the first of these B: 0 unless the step is split into waves. */
  readonly firstRow: number;
  readonly experts: readonly ExpertTiming[];
  readonly aggregateMs: number;
  /**
   * Each expert's output of `last`, f32 `[B, C, h, w]`. Features and what became of them lie in memory that later blocks
   * overwrite: whoever keeps them copies them.
   */
  readonly features: readonly F32Tensor[];
  /** f32 `[B, C, h, w]` */
  readonly aggregatedFeatures: F32Tensor;
  /** f32 `[B, N, h, w]`, where the aggregator makes one. */
  readonly attentionMap?: F32Tensor;
}

export interface ExpertTiming {
  /** From sending the input to having the output. */
  readonly roundTripMs: number;
  readonly computeMs: number;
  readonly queueMs: number;
  /** How the feature maps travelled; `local` if they did not. */
  readonly plane: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface EnsembleForward {
  readonly sessions: readonly ExpertSession[];
  readonly plan: readonly Segment[];
  readonly aggregator: Aggregator;
  readonly conditioning: AggregationConditioning;
  readonly stepIndex: number;
  /** f32 `[B, 4, H, W]` */
  readonly latentModelInput: F32Tensor;
  /** For reports: which rows of the step these are. @default 0 */
  readonly firstRow?: number;
  readonly onSegment?: (report: SegmentReport) => void;
  readonly signal?: AbortSignal;
}

/**
 * @returns the aggregated noise prediction, f32 `[B, 4, H, W]`
 * @throws {TuttiError} what the first expert that failed threw; the others' calls are cancelled
 */
export async function ensembleForward(pass: EnsembleForward): Promise<F32Tensor> {
  const { plan, aggregator, conditioning, stepIndex, firstRow = 0, onSegment, signal } = pass;
  let hiddenStates = pass.latentModelInput;
  for (const [index, segment] of plan.entries()) {
    throwIfAborted(signal);
    const report = await inSpan("segment", spanAttributes(segment), async () => {
      const { features, experts } = await forwardAll(pass, segment, hiddenStates);
      const start = performance.now();
      const into = nextInput(pass, plan[index + 1]);
      const aggregation = await inSpan(
        "aggregate",
        { "tutti.block": segment.last, "tutti.aggregator": aggregator.name },
        () => aggregator.aggregate(segment.last, features, conditioning, into),
      );
      const aggregateMs = performance.now() - start;
      return { ...segment, ...aggregation, features, experts, aggregateMs };
    });
    hiddenStates = report.aggregatedFeatures;
    onSegment?.({ ...report, stepIndex, firstRow });
  }
  return hiddenStates;
}

function spanAttributes({ first, last }: Segment) {
  return { "tutti.first": first, "tutti.last": last };
}

/** Where the first session that wants its next input in a certain place has that place. */
function nextInput(
  { sessions, stepIndex }: EnsembleForward,
  next: Segment | undefined,
): F32Tensor | undefined {
  if (!next) return undefined;
  for (const session of sessions) {
    const buffer = session.inputBuffer({ ...next, stepIndex });
    if (buffer) return buffer;
  }
  return undefined;
}

/** The same input to every expert at the same time. */
async function forwardAll(
  { sessions, stepIndex, signal }: EnsembleForward,
  { first, last }: Segment,
  hiddenStates: F32Tensor,
): Promise<{ features: F32Tensor[]; experts: ExpertTiming[] }> {
  const answers = await sideBySide(sessions, async (session, signal) => {
    const start = performance.now();
    const result = await session.forward({ stepIndex, first, last, hiddenStates }, signal);
    return { result, roundTripMs: performance.now() - start };
  }, signal);
  return {
    features: answers.map(({ result }) => result.hiddenStates),
    experts: answers.map(({ result, roundTripMs }) => timing(result, roundTripMs)),
  };
}

function timing(result: ForwardResult, roundTripMs: number): ExpertTiming {
  return {
    roundTripMs,
    computeMs: result.computeMs,
    queueMs: result.queueMs,
    plane: result.travel?.plane ?? "local",
    sentBytes: result.travel?.sentBytes ?? 0,
    receivedBytes: result.travel?.receivedBytes ?? 0,
  };
}
