/**
 * Whether a set of experts can play together, before any tensor travels. Everything that gives latents and noise their
 * meaning must agree; and where features are mixed pixel by pixel after blocks, what gives those their shape and meaning, too.
 * Whether they were trained with the same noise is told when it is known which of them are asked
 * (`coordinator/ensemble/agreed_schedule.ts`).
 *
 * @module
 */

import type { ExpertDescription } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { BlockSpec } from "../../shared/models/blocks.ts";

/** An expert and where it is, for messages. */
export interface Candidate {
  /** Address of the worker, or path of the model. */
  readonly where: string;
  readonly description: ExpertDescription;
}

type Value = string | number | boolean | undefined;

/** What must agree, in the order in which a reader wants to hear of it. */
const FIELDS: readonly (readonly [string, (expert: ExpertDescription) => Value])[] = [
  ["family", (expert) => expert.family],
  ["latentChannels", (expert) => expert.latentChannels],
  // SABW takes the mean of the experts' time embeddings and text states.
  ["timeEmbedDim", (expert) => expert.timeEmbedDim],
  ["crossAttentionDim", (expert) => expert.crossAttentionDim],
  ["pooledPromptDim", (expert) => expert.pooledPromptDim],
  // One tokenizer serves them all.
  ["texts.length", (expert) => expert.texts.length],
  ["texts[0].vocabSize", (expert) => expert.texts[0]?.vocabSize],
  ["texts[0].maxLength", (expert) => expert.texts[0]?.maxLength],
];

/** Of those, what is each expert's own where its U-Net runs whole; the blocks are, too. */
const OWN_FIELDS: readonly string[] = ["timeEmbedDim", "crossAttentionDim", "pooledPromptDim"];

/** What two blocks of one name must agree in; `locations` may differ, they are how a file spells it. */
const BLOCK_FIELDS: readonly (keyof BlockSpec)[] = [
  "id",
  "inChannels",
  "outChannels",
  "inScale",
  "outScale",
  "skipFrom",
  "skipChannels",
  "upsamples",
];

export interface Compatibility {
  /** What is allowed and probably not meant. */
  readonly warnings: readonly string[];
  /** Why features cannot be mixed, where experts may differ in architecture and do. */
  readonly featuresDiffer?: TuttiError;
}

export interface CompatibleOptions {
  /** Whether experts may differ in architecture: their noises can still be combined. @default false */
  readonly mayDiffer?: boolean;
}

/**
 * Compares every expert with the first.
 *
 * @throws {TuttiError} FAILED_PRECONDITION naming the first field that differs, both values and both places
 */
export function checkCompatible(
  experts: readonly Candidate[],
  { mayDiffer = false }: CompatibleOptions = {},
): Compatibility {
  const [first, ...others] = experts;
  if (first === undefined) {
    throw new TuttiError("INVALID_ARGUMENT", "An ensemble must have at least one expert");
  }
  let featuresDiffer: TuttiError | undefined;
  for (const other of others) {
    for (const { field, values: [value, otherValue] } of comparedValues(first, other)) {
      if (value === otherValue) continue;
      const difference = disagreement(field, [first, value], [other, otherValue]);
      const isOwn = OWN_FIELDS.includes(field) || field.startsWith("blocks");
      if (!mayDiffer || !isOwn) throw difference;
      featuresDiffer ??= difference;
    }
  }
  return {
    warnings: [...duplicates(experts), ...otherSizes(first, others)],
    ...(featuresDiffer && { featuresDiffer }),
  };
}

interface Compared {
  readonly field: string;
  readonly values: readonly [Value, Value];
}

function* comparedValues(first: Candidate, other: Candidate): Generator<Compared> {
  for (const [field, read] of FIELDS) {
    yield { field, values: [read(first.description), read(other.description)] };
  }
  const [blocks, otherBlocks] = [first.description.blocks, other.description.blocks];
  const shared = Math.min(blocks.length, otherBlocks.length);
  for (let i = 0; i < shared; i++) {
    const [block, otherBlock] = [blocks[i]!, otherBlocks[i]!];
    for (const field of BLOCK_FIELDS) {
      const path = field === "id" ? `blocks[${i}].id` : `blocks.${block.id}.${field}`;
      yield { field: path, values: [scalar(block[field]), scalar(otherBlock[field])] };
    }
  }
  yield { field: "blocks.length", values: [blocks.length, otherBlocks.length] };
}

function scalar(value: BlockSpec[keyof BlockSpec]): Value {
  return typeof value === "object" ? value.join() : value;
}

/** @throws {TuttiError} FAILED_PRECONDITION naming field, both values and both places */
export function requireEqual(
  field: string,
  first: readonly [Candidate, Value],
  other: readonly [Candidate, Value],
): void {
  if (first[1] !== other[1]) throw disagreement(field, first, other);
}

function disagreement(
  field: string,
  [first, value]: readonly [Candidate, Value],
  [other, otherValue]: readonly [Candidate, Value],
): TuttiError {
  const [shown, otherShown] = [show(value), show(otherValue)];
  return new TuttiError(
    "FAILED_PRECONDITION",
    `Experts must agree in ${field}: ${shown} at ${first.where} ("${first.description.name}") ` +
      `differs from ${otherShown} at ${other.where} ("${other.description.name}")`,
    {
      details: {
        field,
        first: first.where,
        firstValue: shown,
        second: other.where,
        secondValue: otherShown,
      },
    },
  );
}

function show(value: Value): string {
  return value === undefined ? "none" : JSON.stringify(value);
}

function duplicates(experts: readonly Candidate[]): string[] {
  const seen = new Map<string, Candidate>();
  return experts.flatMap((expert) => {
    const { modelHash } = expert.description;
    const earlier = seen.get(modelHash);
    if (earlier === undefined) {
      seen.set(modelHash, expert);
      return [];
    }
    return [
      `The expert at ${expert.where} has the same weights as the one at ${earlier.where}: ` +
      "a duplicate adds work and no other opinion",
    ];
  });
}

function otherSizes(first: Candidate, others: readonly Candidate[]): string[] {
  const size = first.description.sampleSize;
  return others.filter((other) => other.description.sampleSize !== size).map((other) =>
    `The expert at ${other.where} was trained at ${other.description.sampleSize} latent pixels, ` +
    `the one at ${first.where} at ${size}: one of them will draw at a size that it does not know`
  );
}
