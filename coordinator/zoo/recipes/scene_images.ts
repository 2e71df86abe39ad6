/** Pictures of the world as they are needed: each follows from the seed, the stream's name and its number in it. @module */

import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { SeededDraws } from "../../training/seeded_draws.ts";
import { drawScene, randomScene, type Scene, type SceneOptions } from "../shapes.ts";

/** An endless sequence of scenes. */
export interface SceneStream {
  readonly seed: bigint;
  /** What it is for: streams of other names hold other scenes. */
  readonly name: string;
  readonly world: SceneOptions;
}

export function sceneAt({ seed, name, world }: SceneStream, index: number): Scene {
  return randomScene(new SeededDraws(seed, ["scene", name, index]), world);
}

/** @returns f32 `[B, 3, size, size]` in [-1, 1] */
export function drawScenes(scenes: readonly Scene[], size: number): F32Tensor {
  const images = f32([scenes.length, 3, size, size]);
  const pixels = size * size;
  scenes.forEach((scene, b) => {
    const { rgb } = drawScene(scene, size);
    for (let i = 0; i < pixels; i++) {
      for (let c = 0; c < 3; c++) {
        images.data[(b * 3 + c) * pixels + i] = rgb[i * 3 + c]! / 127.5 - 1;
      }
    }
  });
  return images;
}
