import assert from "node:assert/strict";
import { SeededDraws } from "../../../coordinator/training/seeded_draws.ts";
import {
  drawScene,
  randomScene,
  type Scene,
  type SHAPE_NAMES,
} from "../../../coordinator/zoo/shapes.ts";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { zooPath } from "../../support/zoo.ts";

const scenes = Array.from(
  { length: 200 },
  (_, i) => randomScene(new SeededDraws(1n, ["scene", i]), { textured: 0.5 }),
);

/** Share of pixels that are not the plain white background. */
function covered(shape: typeof SHAPE_NAMES[number]): number {
  const object = { colour: "blue", shape, x: 32, y: 32, radius: 20 } as const;
  const scene: Scene = { texture: "plain", ground: "white", objects: [object], caption: "" };
  const { rgb } = drawScene(scene);
  return rgb.filter((value, i) => i % 3 === 0 && value < 140).length / 64 ** 2;
}

Deno.test("shapes cover what geometry says", () => {
  const unit = 20 ** 2 / 64 ** 2;
  const expected = {
    circle: Math.PI * unit,
    square: 1.7 ** 2 * unit,
    triangle: 1.75 * 1.75 * 0.55 * unit,
    cross: (2 * 1.9 * 0.64 - 0.64 ** 2) * unit,
    ring: Math.PI * 0.7 * unit,
    diamond: 1.6 * unit,
    // Ten triangles between radius 1, 0.42 and the angle between them.
    star: 10 * 0.5 * 0.42 * Math.sin(Math.PI / 5) * unit,
  };
  for (const [shape, share] of Object.entries(expected)) {
    const actual = covered(shape as keyof typeof expected);
    assert.ok(Math.abs(actual / share - 1) < 0.06, `${shape}: ${actual} is not ${share}`);
  }
  assert.ok(covered("heart") > 0.2 && covered("heart") < 0.33);
});

Deno.test("captions say where, in words of the bundled experts, and the picture agrees", async () => {
  const tokenizer = await ClipTokenizer.load(zooPath("tokenizer"));
  const relations = new Set<string>();
  for (const { caption, objects, texture, ground } of scenes) {
    const words = caption.split(" ");
    assert.equal(tokenizer.encode(caption).length, words.length, caption);
    assert.ok(caption.endsWith(`on a ${texture} ${ground} background`), caption);
    const [a, b] = objects;
    if (!b) continue;
    const relation = /above|below|left|right/.exec(caption)![0];
    relations.add(relation);
    const holds = {
      above: a!.y < b.y - 20,
      below: a!.y > b.y + 20,
      left: a!.x < b.x - 20,
      right: a!.x > b.x + 20,
    }[relation];
    assert.ok(holds, caption);
    assert.ok(caption.startsWith(`a ${a!.colour} ${a!.shape} `), caption);
    assert.ok(caption.includes(` a ${b.colour} ${b.shape} on `), caption);
  }
  assert.equal(relations.size, 4);
});

Deno.test("scenes follow from the seed, and take the shapes that they may", () => {
  const again = randomScene(new SeededDraws(1n, ["scene", 7]), { textured: 0.5 });
  assert.deepEqual(again, scenes[7]);
  assert.equal(new Set(scenes.flatMap(({ objects }) => objects.map(({ shape }) => shape))).size, 8);
  const round = Array.from(
    { length: 50 },
    (_, i) => randomScene(new SeededDraws(2n, [i]), { shapes: ["circle", "ring"], pairs: 1 }),
  );
  assert.ok(
    round.every(({ objects }) =>
      objects.length === 2 && objects.every(({ shape }) => ["circle", "ring"].includes(shape))
    ),
  );
});

Deno.test("textures have two tones, 45 levels apart", () => {
  const of = (texture: Scene["texture"], ground: Scene["ground"]) => {
    const { rgb } = drawScene({ texture, ground, objects: [], caption: "" });
    return [...new Set(rgb.filter((_, i) => i % 3 === 0))].sort((a, b) => a - b);
  };
  assert.deepEqual(of("plain", "white"), [240]);
  assert.deepEqual(of("striped", "white"), [195, 240]);
  assert.deepEqual(of("checkered", "black"), [25, 70]);
});
