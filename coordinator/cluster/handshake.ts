/**
 * Whether a set of experts can play together. Their features are mixed pixel by pixel after every block, so
 * everything that gives those features their shape and meaning must agree, before any tensor travels. Whether they were trained
 * with the same noise is told when it is known which of them are asked (`coordinator/ensemble/agreed_schedule.ts`).
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
  // One tokenizer serves them all.
  ["pooledPromptDim", (expert) => expert.pooledPromptDim],
  ["texts.length", (expert) => expert.texts.length],
  ["texts[0].vocabSize", (expert) => expert.texts[0]?.vocabSize],
  ["texts[0].maxLength", (expert) => expert.texts[0]?.maxLength],
];

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

/**
 * Compares every expert with the first.
 *
 * @returns `warnings`: what is allowed and probably not meant
 * @throws {TuttiError} FAILED_PRECONDITION naming the first field that differs, both values and both places
 */
export function checkCompatible(
  experts: readonly Candidate[],
): { readonly warnings: readonly string[] } {
  const [first, ...others] = experts;
  if (first === undefined) {
    throw new TuttiError("INVALID_ARGUMENT", "An ensemble must have at least one expert");
  }
  for (const other of others) {
    for (const [field, read] of FIELDS) {
      requireEqual(field, [first, read(first.description)], [other, read(other.description)]);
    }
    compareBlocks(first, other);
  }
  return { warnings: [...duplicates(experts), ...otherSizes(first, others)] };
}

function compareBlocks(first: Candidate, other: Candidate): void {
  const [blocks, otherBlocks] = [first.description.blocks, other.description.blocks];
  const shared = Math.min(blocks.length, otherBlocks.length);
  for (let i = 0; i < shared; i++) {
    const [block, otherBlock] = [blocks[i]!, otherBlocks[i]!];
    for (const field of BLOCK_FIELDS) {
      const path = field === "id" ? `blocks[${i}].id` : `blocks.${block.id}.${field}`;
      requireEqual(path, [first, scalar(block[field])], [other, scalar(otherBlock[field])]);
    }
  }
  requireEqual("blocks.length", [first, blocks.length], [other, otherBlocks.length]);
}

function scalar(value: BlockSpec[keyof BlockSpec]): Value {
  return typeof value === "object" ? value.join() : value;
}

/** @throws {TuttiError} FAILED_PRECONDITION naming field, both values and both places */
export function requireEqual(
  field: string,
  [first, value]: readonly [Candidate, Value],
  [other, otherValue]: readonly [Candidate, Value],
): void {
  if (value === otherValue) return;
  const [shown, otherShown] = [show(value), show(otherValue)];
  throw new TuttiError(
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
