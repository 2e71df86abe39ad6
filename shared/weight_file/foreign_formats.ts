/**
 * What people find under the name of a model after a download or a copy that went wrong, each with the way out.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";

/** Bytes of a file's beginning that `foreignFormat()` looks at. */
export const SNIFFED_BYTES = 256;

interface ForeignFormat {
  /** In hex, or as text; white space and a byte order mark before a text do not count. */
  readonly begins: readonly (RegExp | string)[];
  readonly what: string;
  readonly cure: string;
}

const AGAIN = "download the file itself";
const SIGN_IN =
  "The site wanted a sign-in, a token or a click first: open the link in a browser, or give " +
  "your token to the download";
const CONVERT = "Get the model's .safetensors version";

const FORMATS: readonly ForeignFormat[] = [
  {
    begins: [/^version https:\/\/git-lfs/],
    what: "a git-lfs pointer, the placeholder that a clone without git-lfs leaves",
    cure: `Run "git lfs pull" in its repository, or ${AGAIN}`,
  },
  {
    begins: [/^<(!doctype|html|head|\?xml|body|script|error)\b/i],
    what: "a web page",
    cure: SIGN_IN,
  },
  { begins: [/^\{\s*("|\})/, /^\[\s*[[{"\]]/], what: "JSON text", cure: SIGN_IN },
  {
    begins: ["47475546"], // GGUF
    what: "a GGUF file, with quantised weights",
    cure: CONVERT,
  },
  {
    begins: ["8002", "8003", "8004", "8005"],
    what: "a bare pickle, as torch.save() of torch before 1.6 wrote",
    cure: `${CONVERT}, or load the file where you trust it and save it again`,
  },
  { begins: ["1f8b"], what: "a gzip archive", cure: 'Unpack it first ("gunzip")' },
  { begins: ["377abcaf271c"], what: "a 7z archive", cure: "Unpack it first" },
  { begins: ["526172211a07"], what: "a RAR archive", cure: "Unpack it first" },
  { begins: ["28b52ffd"], what: "a Zstandard archive", cure: 'Unpack it first ("unzstd")' },
  {
    begins: ["89504e470d0a1a0a", "ffd8ff", /^RIFF....WEBP/s],
    what: "a picture",
    cure: `Perhaps the preview was saved in place of the model: ${AGAIN}`,
  },
  { begins: ["894844460d0a1a0a"], what: "an HDF5 file, with weights of Keras", cure: CONVERT },
  // The version of the format, one byte, then the name of its writer.
  {
    begins: Array.from({ length: 13 }, (_, i) => `08${(i + 3).toString(16).padStart(2, "0")}12`),
    what: "an ONNX model",
    cure: CONVERT,
  },
  {
    begins: [/^\0{64}/],
    what: "nothing but zeros, as a download leaves that reserved its space and did not finish",
    cure: "Download it again",
  },
];

/**
 * Says what bytes are that are no weights, and what to do; `undefined` if nothing is known.
 *
 * @param prefix the first bytes of the file, up to `SNIFFED_BYTES`
 */
export function foreignFormat(
  prefix: Uint8Array,
): Pick<ForeignFormat, "what" | "cure"> | undefined {
  const hex = prefix.toHex();
  const text = new TextDecoder("latin1").decode(prefix).replace(/^(ï»¿)?\s+|^ï»¿/, "");
  return FORMATS.find(({ begins }) =>
    begins.some((begin) => typeof begin === "string" ? hex.startsWith(begin) : begin.test(text))
  );
}

/**
 * @param prefix as for `foreignFormat()`
 * @param isPlausible whether the beginning could be that of the right format: then nothing is refused
 * @throws {FormatError} saying what the file is and what to do
 */
export function refuseForeignFormat(
  prefix: Uint8Array,
  { path, isPlausible }: { readonly path: string; readonly isPlausible: boolean },
): void {
  if (isPlausible) return;
  if (prefix.length === 0) {
    throw new FormatError(
      `Model file ${show(path)} must hold tensors: it is empty. Download it again`,
    );
  }
  const found = foreignFormat(prefix);
  if (!found) return;
  const shown = found.what === "JSON text" || found.what === "a web page"
    ? `, ${show(new TextDecoder().decode(prefix).trim().slice(0, 80))}`
    : "";
  throw new FormatError(
    `Model file ${show(path)} must hold tensors: this is ${found.what}${shown}. ${found.cure}`,
  );
}
