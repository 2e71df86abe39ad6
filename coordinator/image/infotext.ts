/**
 * Infotext: the text that stable-diffusion-webui stores in a PNG's `parameters` chunk and that image
 * tools and sites read back. Three parts: the prompt, a line `Negative prompt: ...` (left out when
 * empty), and one line of `Key: value` pairs.
 *
 * What the form itself cannot carry, in prompt and negative prompt: white space around a line, empty
 * lines at the beginning, and `Negative prompt:` at the beginning of a line (readers take the negative
 * prompt to start there).
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";

/** How an image was made. */
export interface Infotext {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number;
  /** The sampler's name as users know it, such as `DDIM`. */
  readonly sampler: string;
  readonly cfgScale: number;
  /** Up to 2^64 - 1, more than a `number` can count. */
  readonly seed: number | bigint;
  readonly width: number;
  readonly height: number;
  /** For an ensemble of N experts `Tutti(N)`. */
  readonly modelName: string;
  /** Hex digits of the weights' SHA-256; the first ten are written. */
  readonly modelHash: string;
  readonly vaeHash?: string;
  /** Layers that the text encoder leaves out, plus 1: written if it is more than 1. */
  readonly clipSkip?: number;
  /** Further fields in this order, after the standard ones. Readers ignore keys they do not know. */
  readonly extra: Readonly<Record<string, string>>;
}

/** What a reader finds: an image of another program may lack any field. */
export type ParsedInfotext =
  & Partial<Infotext>
  & Pick<Infotext, "prompt" | "negativePrompt" | "extra">;

const NEGATIVE = "Negative prompt:";
const HASH_DIGITS = 10;
/** A last line counts as parameters only with this many pairs; a prompt may hold a colon too. */
const MIN_PAIRS = 3;
/** Bounded, or a long line of words without a colon would take quadratic time. */
const KEY = String.raw`[\p{L}\p{N}_][\p{L}\p{N}_ \-/]{1,99}`;
const PAIR = new RegExp(String.raw`(${KEY}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)`, "gu");
const WHOLE_KEY = new RegExp(`^${KEY}$`, "u");
const STANDARD_KEYS = new Set(
  ["Steps", "Sampler", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "Clip skip"],
);

/**
 * Writes infotext.
 *
 * @example
 * ```text
 * a green heart above a yellow square
 * Negative prompt: striped
 * Steps: 25, Sampler: DDIM, CFG scale: 5, Seed: 1, Size: 64x64, Model hash: 6ce0161689, Model: Tutti(3), Tutti models: "round 6ce0161689, square 12ab34cd56, pointed 0f1e2d3c4b", Tutti version: 0.1.0
 * ```
 *
 * @throws {FormatError} if the key of an extra field is one that readers would not recognise as a key,
 *   or one of the standard ones
 */
export function formatInfotext(info: Infotext): string {
  for (const key of Object.keys(info.extra)) {
    if (!WHOLE_KEY.test(key) || STANDARD_KEYS.has(key)) {
      throw new FormatError(
        `Infotext key must be 2 to 100 letters, digits, spaces, "_", "-" or "/" and no standard ` +
          `key: current value is "${key}"`,
      );
    }
  }
  const fields: (readonly [string, string | number | bigint | undefined])[] = [
    ["Steps", info.steps],
    ["Sampler", info.sampler],
    ["CFG scale", info.cfgScale],
    ["Seed", info.seed],
    ["Size", `${info.width}x${info.height}`],
    ["Model hash", info.modelHash.slice(0, HASH_DIGITS)],
    ["Model", info.modelName],
    ["VAE hash", info.vaeHash?.slice(0, HASH_DIGITS)],
    ["Clip skip", (info.clipSkip ?? 1) > 1 ? info.clipSkip : undefined],
    ...Object.entries(info.extra),
  ];
  const line = fields.filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${quote(String(value))}`).join(", ");
  const negative = info.negativePrompt === "" ? "" : `\n${NEGATIVE} ${info.negativePrompt}`;
  return `${info.prompt}${negative}\n${line}`.trim();
}

/**
 * Reads infotext, of this program or another. Text without a line of parameters is all prompt.
 *
 * @throws {FormatError} if a number among the standard fields is none
 */
export function parseInfotext(text: string): ParsedInfotext {
  const lines = text.trim().split("\n");
  const pairs = [...lines.at(-1)!.matchAll(PAIR)];
  const hasParameters = pairs.length >= MIN_PAIRS;
  const { prompt, negativePrompt } = splitPrompts(hasParameters ? lines.slice(0, -1) : lines);

  const fields = new Map<string, string>();
  if (hasParameters) {
    for (const [, key, value] of pairs) fields.set(key!, unquote(value!));
  }
  function take(key: string): string | undefined {
    const value = fields.get(key);
    fields.delete(key);
    return value;
  }
  const [width, height] = parseSize(take("Size"));
  const known = {
    steps: parseNumber("Steps", take("Steps")),
    sampler: take("Sampler"),
    cfgScale: parseNumber("CFG scale", take("CFG scale")),
    seed: parseNumber("Seed", take("Seed")),
    width,
    height,
    modelHash: take("Model hash"),
    modelName: take("Model"),
    vaeHash: take("VAE hash"),
    clipSkip: parseNumber("Clip skip", take("Clip skip")),
  };
  const found = Object.entries(known).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(found) as Partial<Infotext>,
    prompt,
    negativePrompt,
    extra: Object.fromEntries(fields),
  };
}

function splitPrompts(lines: readonly string[]): { prompt: string; negativePrompt: string } {
  let prompt = "", negativePrompt = "";
  let inNegative = false;
  for (const raw of lines) {
    let line = raw.trim();
    if (line.startsWith(NEGATIVE)) {
      inNegative = true;
      line = line.slice(NEGATIVE.length).trim();
    }
    if (inNegative) negativePrompt += (negativePrompt === "" ? "" : "\n") + line;
    else prompt += (prompt === "" ? "" : "\n") + line;
  }
  return { prompt, negativePrompt };
}

/**
 * The webui quotes values with a comma, colon or line break. We also quote what its reader would
 * otherwise change: empty values, outer white space, a leading quotation mark.
 */
function quote(value: string): string {
  const isPlain = value !== "" && !/[,:\n]/.test(value) && !value.startsWith('"') &&
    value === value.trim();
  return isPlain ? value : JSON.stringify(value);
}

/** The reverse of `quote`; what only looks quoted is taken as it is. */
function unquote(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}

function parseNumber(key: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number)) {
    throw new FormatError(`Infotext field "${key}" must be a number: current value is "${value}"`);
  }
  return number;
}

function parseSize(value: string | undefined): [number, number] | [undefined, undefined] {
  if (value === undefined) return [undefined, undefined];
  const match = /^(\d{1,6})x(\d{1,6})$/.exec(value.trim());
  if (match === null) {
    throw new FormatError(
      `Infotext field "Size" must be WIDTHxHEIGHT: current value is "${value}"`,
    );
  }
  return [Number(match[1]), Number(match[2])];
}
