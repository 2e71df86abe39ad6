/**
 * One forward pass of the ensembled U-Net (`docs/spec.md`, "Ensembled forward"): every expert runs a block on the same
 * features, the aggregator makes one feature map of theirs, and that is the next block's input for all. Without an
 * aggregator the experts run whole and their noises stay apart.
 *
 * @module
 */

import type { ExpertSession, ForwardResult } from "../../shared/engine/expert.ts";
import { ShapeError, throwIfAborted } from "../../shared/errors.ts";
import { inSpan } from "../../shared/telemetry/tracing.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "./aggregation.ts";
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
  /** f32 `[B, C, h, w]`; absent where the experts' noises stay apart. */
  readonly aggregatedFeatures?: F32Tensor;
  /** f32 `[B, N, h, w]`, where the aggregator makes one. */
  readonly attentionMap?: F32Tensor;
}

export interface ExpertTiming {
  /** From sending the input to having the output. */
  readonly roundTripMs: number;
  readonly computeMs: number;
  readonly queueMs: number;
  /** Waiting for weights that were not in memory yet. */
  readonly loadMs: number;
  /** How the feature maps travelled; `local` if they did not. */
  readonly plane: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface EnsembleForward {
  readonly sessions: readonly ExpertSession[];
  readonly plan: readonly Segment[];
  /** Of each session, all of its blocks: what it runs where the plan is one segment. @default that segment */
  readonly wholes?: readonly Segment[];
  /** Without it there must be one segment, or one session. */
  readonly aggregation?: {
    readonly aggregator: Pick<Aggregator, "name" | "aggregate">;
    readonly conditioning: AggregationConditioning;
  };
  readonly stepIndex: number;
  /** f32 `[B, 4, H, W]` */
  readonly latentModelInput: F32Tensor;
  /** For reports: which rows of the step these are. @default 0 */
  readonly firstRow?: number;
  readonly onSegment?: (report: SegmentReport) => void;
  readonly signal?: AbortSignal;
}

/**
 * @returns the aggregated noise prediction, or each session's own without an aggregator; f32 `[B, 4, H, W]` each
 * @throws {TuttiError} what the first expert that failed threw; the others' calls are cancelled
 */
export async function ensembleForward(pass: EnsembleForward): Promise<readonly F32Tensor[]> {
  const { sessions, plan, aggregation, stepIndex, firstRow = 0, onSegment, signal } = pass;
  if (!aggregation && plan.length > 1 && sessions.length > 1) {
    throw new ShapeError(
      `Blocks of ${sessions.length} experts need an aggregator after ${plan[0]!.last}`,
    );
  }
  let hiddenStates: readonly F32Tensor[] = [pass.latentModelInput];
  for (const [index, segment] of plan.entries()) {
    throwIfAborted(signal);
    const report = await inSpan("segment", spanAttributes(segment), async () => {
      const { features, experts } = await forwardAll(pass, segment, hiddenStates[0]!);
      const start = performance.now();
      const aggregation = await aggregate(pass, segment, features, plan[index + 1]);
      const aggregateMs = performance.now() - start;
      return { ...segment, ...aggregation, features, experts, aggregateMs };
    });
    hiddenStates = report.aggregatedFeatures ? [report.aggregatedFeatures] : report.features;
    onSegment?.({ ...report, stepIndex, firstRow });
  }
  return hiddenStates;
}

/** Nothing without an aggregator. */
async function aggregate(
  pass: EnsembleForward,
  { last }: Segment,
  features: readonly F32Tensor[],
  next: Segment | undefined,
): Promise<Partial<Aggregation>> {
  if (!pass.aggregation) return {};
  const { aggregator, conditioning } = pass.aggregation;
  const into = nextInput(pass, next);
  return await inSpan(
    "aggregate",
    { "tutti.block": last, "tutti.aggregator": aggregator.name },
    () => aggregator.aggregate(last, features, conditioning, into),
  );
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
  { sessions, plan, wholes, stepIndex, signal }: EnsembleForward,
  segment: Segment,
  hiddenStates: F32Tensor,
): Promise<{ features: F32Tensor[]; experts: ExpertTiming[] }> {
  const answers = await sideBySide(sessions, async (session, signal, index) => {
    const start = performance.now();
    const { first, last } = plan.length === 1 ? wholes?.[index] ?? segment : segment;
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
    loadMs: result.loadMs,
    plane: result.travel?.plane ?? "local",
    sentBytes: result.travel?.sentBytes ?? 0,
    receivedBytes: result.travel?.receivedBytes ?? 0,
  };
}
