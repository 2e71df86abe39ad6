/** What scores pictures: one by one, or a set of them against a set of real ones. @module */

import type { RgbImage } from "../../image/resize.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

export interface ScoredPicture {
  readonly image: RgbImage;
  readonly prompt: string;
}

/** Scores each picture by itself; more is better. */
export interface PictureJudge {
  /** As in tables: `CLIP-T`. */
  readonly name: string;
  score(picture: ScoredPicture): Promise<number>;
}

/** Compares sets by features of their pictures; less is better. */
export interface SetJudge {
  /** The distances that come of it, in this order. */
  readonly names: readonly string[];
  /** f32 `[1, d]` each, one or several of them. */
  features(image: RgbImage): Promise<readonly F32Tensor[]>;
  /**
   * What follows from the real pictures alone is computed once.
   *
   * @param real by feature, f32 `[n, d]`
   * @returns the distances of a set from them
   */
  against(real: readonly F32Tensor[]): (fake: readonly F32Tensor[]) => readonly number[];
}

/** What a suite's networks give. */
export interface Judges extends AsyncDisposable {
  readonly ofPictures: readonly PictureJudge[];
  readonly ofSets: readonly SetJudge[];
}
