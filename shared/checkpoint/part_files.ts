/**
 * Which file of a part's folder holds its weights: diffusers and transformers have two names for it, each may carry a
 * variant, be split into shards that an index lists, and be pickled.
 *
 * @module
 */

const STEMS = ["diffusion_pytorch_model", "model"];
/** In order of preference; `ema` is the running average of a training, beside `non_ema`. */
const VARIANTS = ["", "fp16", "bf16", "fp32", "non_ema", "ema"];
/** transformers' pickles have a name of their own. */
const PICKLED_STEMS = ["diffusion_pytorch_model", "pytorch_model"];

export interface PartFile {
  readonly name: string;
  /** Whether it lists the files with the weights. */
  readonly isIndex: boolean;
}

/** In order of preference: one file before shards, safetensors before pickles. */
const CANDIDATES: readonly PartFile[] = [
  ...singles(STEMS, "safetensors"),
  ...indexes(STEMS, "safetensors"),
  ...singles(PICKLED_STEMS, "bin"),
  ...indexes(PICKLED_STEMS, "bin"),
];

/** What messages ask for. */
export const USUAL_NAMES = singles(STEMS, "safetensors")
  .filter(({ name }) => !/bf16|fp32|ema/.test(name))
  .map(({ name }) => name);

/** @param names of the files in the folder */
export function findPartFile(names: ReadonlySet<string>): PartFile | undefined {
  return CANDIDATES.find(({ name }) => names.has(name));
}

function singles(stems: readonly string[], ending: string): PartFile[] {
  return stems.flatMap((stem) =>
    VARIANTS.map((variant) => ({ name: `${dotted(stem, variant)}.${ending}`, isIndex: false }))
  );
}

/** diffusers once put the variant before "json" (`model.safetensors.index.fp16.json`), and does after the stem. */
function indexes(stems: readonly string[], ending: string): PartFile[] {
  return stems.flatMap((stem) =>
    VARIANTS.flatMap((variant) => [
      { name: `${dotted(stem, variant)}.${ending}.index.json`, isIndex: true },
      { name: `${dotted(`${stem}.${ending}.index`, variant)}.json`, isIndex: true },
    ])
  );
}

function dotted(stem: string, variant: string): string {
  return variant === "" ? stem : `${stem}.${variant}`;
}
