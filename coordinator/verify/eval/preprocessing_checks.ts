/** What each metric's code makes of a picture before its network sees it. @module */

import { createHash } from "node:crypto";
import { readRegularFile } from "../../../shared/regular_file.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { hpsPixels } from "../../evaluation/preprocessing/hps_pixels.ts";
import { inceptionPixels } from "../../evaluation/preprocessing/inception_pixels.ts";
import { type ChannelStatistics, normalize } from "../../evaluation/preprocessing/normalize.ts";
import { middleSquare, squashed } from "../../evaluation/preprocessing/square_pixels.ts";
import { WordPieceTokenizer } from "../../evaluation/preprocessing/wordpiece.ts";
import { readImage } from "../../image/read_image.ts";
import type { RgbImage } from "../../image/resize.ts";
import type { Comparison } from "../check.ts";
import type { EvalCheck, EvalFolder, RunCheck } from "./eval_folder.ts";
import { measureNumbers } from "./measure.ts";

/** Of published networks. */
const SIZE = 224, DINO_SHORT_SIDE = 256;

/** Every how many rows and columns of a result a value is expected. */
const BYTES_STRIDE = 7, FLOATS_STRIDE = 3;

const SQUARES: Readonly<Record<string, (image: RgbImage) => RgbImage>> = {
  clip_transformers: (image) => middleSquare(image, { size: SIZE }),
  clip_openai: (image) => middleSquare(image, { size: SIZE, rounding: "even" }),
  dinov2_transformers: (image) => middleSquare(image, { size: SIZE, shortSide: DINO_SHORT_SIDE }),
  dinov2_dgm_eval: (image) => squashed(image, SIZE),
};

const TENSORS: Readonly<Record<string, (image: RgbImage) => F32Tensor>> = {
  fid_pytorch: (image) => inceptionPixels(image, "fid"),
  fid_torch_fidelity: (image) => inceptionPixels(image, "fid-tf"),
  fid_clean: (image) => inceptionPixels(image, "fid-clean"),
  hpsv2: (image) => hpsPixels(image, { size: SIZE }),
  hpsv2_old_torchvision: (image) => hpsPixels(image, { size: SIZE, antialias: false }),
};

/** @returns how a check of this name is run; undefined if it is not built */
export function preprocessingCheck(name: string): RunCheck | undefined {
  const [, kind = ""] = name.split(".");
  if (kind === "wordpiece") return checkWordPieces;
  const [square, tensor] = [SQUARES[kind], TENSORS[kind]];
  if (kind !== "decode" && !square && !tensor) return undefined;
  return async (folder, check) => {
    if (kind === "clip_openai" && await hasAlpha(folder, check)) {
      return { skipped: "pictures that Tutti scores have no alpha channel to resize with" };
    }
    const image = await readPicture(folder, check.inputs.png as string);
    if (square) return await compareSquare(folder, check, square(image));
    return tensor ? await compareTensor(folder, check, tensor(image)) : compareBytes(check, image);
  };
}

/** As a PNG's header tells: gray or colour with alpha. */
async function hasAlpha(folder: EvalFolder, check: EvalCheck): Promise<boolean> {
  const bytes = await readRegularFile(folder.file(check.inputs.png as string));
  return bytes[25] === 4 || bytes[25] === 6;
}

async function checkWordPieces(folder: EvalFolder, check: EvalCheck): Promise<Comparison[]> {
  const { inputs } = check;
  const vocabulary = await folder.value(check, inputs.vocab) as string[];
  const cases = await folder.value(check, inputs.cases) as readonly WordPieceCase[];
  const tokenizer = new WordPieceTokenizer(vocabulary, inputs.max_length as number);
  return cases.flatMap(({ text, input_ids, attention_mask }, i) => {
    const { inputIds, attentionMask } = tokenizer.encode(text);
    return [
      measureNumbers(check, `input_ids[${i}]`, inputIds, input_ids),
      measureNumbers(check, `attention_mask[${i}]`, attentionMask, attention_mask),
    ];
  });
}

interface WordPieceCase {
  readonly text: string;
  readonly input_ids: readonly number[];
  readonly attention_mask: readonly number[];
}

/** A picture of the folder. */
export async function readPicture(folder: EvalFolder, name: string): Promise<RgbImage> {
  return await readImage(folder.file(name));
}

function compareBytes(check: EvalCheck, { width, height, rgb }: RgbImage): Comparison[] {
  const isSame = createHash("sha256").update(rgb).digest("hex") === check.expect.sha256;
  return [
    measureNumbers(check, "width", width, [Number(check.expect.width)]),
    measureNumbers(check, "height", height, [Number(check.expect.height)]),
    { tensor: "sha256", relativeL2: isSame ? 0 : Infinity, maxAbs: isSame ? 0 : Infinity },
  ];
}

async function compareSquare(
  folder: EvalFolder,
  check: EvalCheck,
  square: RgbImage,
): Promise<Comparison[]> {
  const sample = every(
    normalize(square, check.inputs as unknown as ChannelStatistics),
    BYTES_STRIDE,
  );
  const { expect } = check;
  return [
    measureNumbers(check, "u8", square.rgb, await folder.numbers(check, expect.u8)),
    measureNumbers(check, "sample", sample, await folder.numbers(check, expect.sample)),
  ];
}

async function compareTensor(
  folder: EvalFolder,
  check: EvalCheck,
  pixels: F32Tensor,
): Promise<Comparison[]> {
  const { expect } = check;
  const mean = pixels.data.reduce((sum, value) => sum + value, 0) / pixels.data.length;
  const sample = every(pixels, FLOATS_STRIDE);
  return [
    measureNumbers(check, "sample", sample, await folder.numbers(check, expect.sample)),
    measureNumbers(check, "mean", mean, [Number(expect.mean)]),
    measureNumbers(check, "shape", pixels.shape, await folder.numbers(check, expect.shape)),
  ];
}

/** Every n-th row and column. */
function every({ shape: [channels = 0, height = 0, width = 0], data }: F32Tensor, n: number) {
  const values: number[] = [];
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y += n) {
      for (let x = 0; x < width; x += n) values.push(data[(c * height + y) * width + x]!);
    }
  }
  return values;
}
