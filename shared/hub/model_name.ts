/**
 * Models that are named by where they are published: `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION/FILE`, or an address of a
 * file. Plain `http` is for this machine alone.
 *
 * @module
 */

import { UsageError } from "../errors.ts";
import { isLoopback, parseAddress } from "../wire/address.ts";

export type ModelName =
  | {
    readonly kind: "hub";
    /** `OWNER/NAME` */
    readonly repository: string;
    /** A branch, tag or commit. */
    readonly revision: string;
    /** Path in the repository; without it what a model needs. */
    readonly file?: string;
  }
  | {
    readonly kind: "address";
    readonly url: string;
    /** What the file must hash to, hex: `#sha256=...` behind the address. */
    readonly sha256?: string;
  };

const HUB = "hf:";
const HUB_NAME = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w.-]+))?(?:\/(.+))?$/;
/** Civitai's page of a model, which names the version that its download is asked for by. */
const CIVITAI_PAGE = /^https:\/\/civitai\.com\/models\/\d+/;
const SHA256 = /^[0-9a-f]{64}$/;

export const MODEL_NAME_FORM = "hf:OWNER/NAME, hf:OWNER/NAME/FILE or an https address";

/** Whether a text is no path. */
export function isModelName(text: string): boolean {
  return text.startsWith(HUB) || /^https?:\/\//.test(text);
}

/** @throws {UsageError} if it is neither a repository nor an address */
export function parseModelName(text: string): ModelName {
  const wrong = (why: string) =>
    new UsageError(`A model's name must be ${MODEL_NAME_FORM}${why}: current value is "${text}"`);
  if (text.startsWith(HUB)) {
    const [, repository, revision = "main", file] = HUB_NAME.exec(text) ?? [];
    if (repository === undefined) throw wrong("");
    if (file !== undefined && !isSafePath(file)) throw wrong(", FILE a path in the repository");
    return { kind: "hub", repository, revision, ...(file !== undefined && { file }) };
  }
  if (!URL.canParse(text)) throw wrong("");
  const url = new URL(text);
  if (!isTrusted(url)) throw wrong(" (http only to this machine)");
  const [, sha256] = /^#sha256=(.*)$/.exec(url.hash) ?? [];
  if (sha256 !== undefined && !SHA256.test(sha256)) {
    throw wrong(", with 64 hexadecimal digits behind #sha256=");
  }
  url.hash = "";
  const version = url.searchParams.get("modelVersionId");
  const isPage = CIVITAI_PAGE.test(text);
  if (isPage && version === null) {
    throw wrong("; of a page of Civitai one that says ?modelVersionId=NUMBER");
  }
  return {
    kind: "address",
    url: isPage ? `https://civitai.com/api/download/models/${version}` : url.href,
    ...(sha256 !== undefined && { sha256 }),
  };
}

/** Whether what is sent there can be read by nobody on the way. */
export function isTrusted({ protocol, hostname, port }: URL): boolean {
  if (protocol === "https:") return true;
  return protocol === "http:" && isLoopback(parseAddress(`${hostname}:${port || 80}`));
}

/** Whether a path stays in its folder. */
export function isSafePath(path: string): boolean {
  const steps = path.split("/");
  return !/[\\\0]/.test(path) && !steps.some((step) => ["", ".", ".."].includes(step));
}
