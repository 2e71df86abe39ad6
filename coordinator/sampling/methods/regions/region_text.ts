/** How users write the region of an expert: boxes as `0/0/0.5/1+0.5/0.5/1/1`, or the path of a mask. @module */

import { UsageError } from "../../../../shared/errors.ts";

/** Edges in shares of the picture, from its top left corner. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export type RegionText = { readonly boxes: readonly Box[] } | { readonly maskPath: string };

/** @throws {UsageError} if it is neither a PNG file nor boxes within the picture */
export function parseRegion(expert: string, text: string): RegionText {
  if (isMaskPath(text)) return { maskPath: text };
  const boxes = text.split("+").map(parseBox);
  if (boxes.every((box) => box !== undefined)) return { boxes };
  throw new UsageError(
    `The region of expert "${expert}" must be boxes as left/top/right/bottom in shares of the picture ` +
      `(0/0/0.5/1 is the left half, "+" joins several), or a PNG file: current value is "${text}"`,
  );
}

export function isMaskPath(text: string): boolean {
  return /\.png$/i.test(text);
}

function parseBox(text: string): Box | undefined {
  const parts = text.split("/");
  const edges = parts.map((part) => part.trim() === "" ? NaN : Number(part));
  const isWithin = edges.length === 4 && edges.every((edge) => 0 <= edge && edge <= 1);
  if (!isWithin) return undefined;
  const [left, top, right, bottom] = edges as [number, number, number, number];
  return left < right && top < bottom ? { left, top, right, bottom } : undefined;
}
