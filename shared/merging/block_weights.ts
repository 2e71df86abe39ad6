/**
 * A number for each block of the U-Net, in the forms in which people write it: one number for all, a preset's name, 25
 * numbers IN00..OUT11, or 26 with BASE in front (SDXL 19 or 20).
 *
 * @module
 */

import type { Family } from "../models/families.ts";
import { show } from "../show.ts";
import { didYouMean } from "../terminal/did_you_mean.ts";
import { BASE, mergeBlocks } from "./block_of_key.ts";
import { ParameterError } from "./parameter_error.ts";
import { presetBase, PRESETS } from "./presets.ts";

/** As it was written: a number, `0.5`, `GRAD_V`, `0.5,0.1,...`, or a list of numbers. */
export type WrittenWeights = number | string | readonly number[];

/** The number that holds for a block of `mergeBlocks()`, or for `BASE`. */
export type BlockWeights = (block: string) => number;

const SD15_BLOCKS = 25;
const SDXL_BLOCKS = 19;

export interface BlockWeightsOptions {
  /** The parameter that is read, for messages. */
  readonly field: string;
  readonly family: Family;
  /** BASE's number, where the row does not begin with it. @default 0, or what the preset says */
  readonly base?: number;
}

/** @throws {ParameterError} if it is no such form, or a row of another length */
export function parseBlockWeights(
  written: WrittenWeights,
  { field, family, base }: BlockWeightsOptions,
): BlockWeights {
  if (typeof written === "number") return constant(written, field);
  const text = typeof written === "string" ? written.trim() : undefined;
  const numbers = text === undefined ? written as readonly number[] : numbersOf(text);
  if (numbers?.length === 1) return constant(numbers[0]!, field);
  if (numbers) {
    const { own, blocks } = splitBase(numbers, field, base);
    return byBlock(fitted(blocks, family, field), own ?? 0, family);
  }
  const preset = Object.hasOwn(PRESETS, text!) ? PRESETS[text!]! : undefined;
  if (!preset) {
    throw new ParameterError(
      field,
      `must be a number, ${SD15_BLOCKS} or ${SD15_BLOCKS + 1} numbers (SDXL ${SDXL_BLOCKS} or ${
        SDXL_BLOCKS + 1
      }), or a preset's name: current value is ${show(text)}${
        didYouMean(text!, Object.keys(PRESETS))
      }`,
    );
  }
  return byBlock(fitted(preset, family, field), base ?? presetBase(text!), family);
}

/** SD1.5's weights for SDXL's blocks, as supermerger converts them: IN09..IN11 and OUT09..OUT11 are left out. */
export function weightsForSdxl(weights: readonly number[]): readonly number[] {
  return [...weights.slice(0, 9), ...weights.slice(12, 22)];
}

function constant(value: number, field: string): BlockWeights {
  if (!Number.isFinite(value)) {
    throw new ParameterError(field, `must be a finite number: current value is ${show(value)}`);
  }
  return () => value;
}

/** `undefined` for text that is no list of numbers. */
function numbersOf(text: string): readonly number[] | undefined {
  const parts = text.split(",").map((part) => part.trim());
  const numbers = parts.map(Number);
  return parts.every((part, i) => part !== "" && Number.isFinite(numbers[i])) ? numbers : undefined;
}

function splitBase(
  numbers: readonly number[],
  field: string,
  base: number | undefined,
): { readonly own: number | undefined; readonly blocks: readonly number[] } {
  if (!numbers.every(Number.isFinite)) {
    throw new ParameterError(field, `must be finite numbers: current value is ${show(numbers)}`);
  }
  if ([SD15_BLOCKS, SDXL_BLOCKS].includes(numbers.length)) return { own: base, blocks: numbers };
  if (![SD15_BLOCKS + 1, SDXL_BLOCKS + 1].includes(numbers.length)) {
    throw new ParameterError(
      field,
      `must have ${SD15_BLOCKS} numbers, or ${
        SD15_BLOCKS + 1
      } with BASE in front (SDXL ${SDXL_BLOCKS} or ${
        SDXL_BLOCKS + 1
      }): current count is ${numbers.length}`,
    );
  }
  if (base !== undefined) {
    throw new ParameterError(
      "base",
      `must not be given beside ${numbers.length} numbers, of which the first is BASE: current value is ${base}`,
    );
  }
  return { own: numbers[0], blocks: numbers.slice(1) };
}

/** One number a block of this family. */
function fitted(weights: readonly number[], family: Family, field: string): readonly number[] {
  if (weights.length === mergeBlocks(family).length) return weights;
  if (family === "sdxl") return weightsForSdxl(weights);
  throw new ParameterError(
    field,
    `must have ${SD15_BLOCKS} numbers for SD1.5 models, which have that many blocks: current count is ${weights.length}`,
  );
}

function byBlock(weights: readonly number[], base: number, family: Family): BlockWeights {
  const table = new Map(mergeBlocks(family).map((block, i) => [block, weights[i]!]));
  return (block) => block === BASE ? base : table.get(block) ?? base;
}
