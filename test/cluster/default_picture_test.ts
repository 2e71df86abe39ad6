import assert from "node:assert/strict";
import { parseInfotext } from "../../coordinator/image/infotext.ts";
import { colourRegion, darkShare, GREEN, YELLOW } from "../support/colour_region.ts";
import { testTutti } from "../support/run_tutti.ts";
import { PROMPT, readPng, ZOO_EXPERTS, zooPath } from "../support/zoo.ts";

interface SampleJson {
  readonly images: readonly {
    readonly path: string;
    readonly seed: string;
    readonly width: number;
    readonly height: number;
  }[];
}

testTutti(
  "tutti sample alone draws a green heart above a yellow square with workers of its own, and stops them",
  async (home, t) => {
    const start = performance.now();
    const lines = await home.json<SampleJson>(["sample", PROMPT, "--seed", "1"]);
    // Told, not judged: machines differ.
    // deno-lint-ignore no-console
    console.log(`the default command took ${((performance.now() - start) / 1000).toFixed(1)} s`);
    assert.deepEqual(await home.processes(), []);
    assert.equal(lines.length, 1);
    const { images } = lines[0]!;
    assert.deepEqual(images, [{ path: "out/tutti-1.png", seed: "1", width: 64, height: 64 }]);
    const picture = await readPng(home.file(images[0]!.path));
    assert.deepEqual([picture.width, picture.height], [64, 64]);

    await t.step("green is in the upper half, yellow in the lower, the ground is dark", () => {
      const [green, yellow] = [colourRegion(picture, GREEN), colourRegion(picture, YELLOW)];
      const found = JSON.stringify({ green, yellow, dark: darkShare(picture) });
      for (const { share } of [green, yellow]) assert.ok(share > 0.04 && share < 0.25, found);
      assert.ok(green.y > 0.05 && green.y < 0.45, found);
      assert.ok(yellow.y > 0.55 && yellow.y < 0.95, found);
      assert.ok(Math.abs(green.x - yellow.x) < 0.3, found);
      assert.ok(darkShare(picture) > 0.6, found);
    });

    await t.step("it is the picture that docs/usage.md shows", async () => {
      const shown = await readPng(zooPath("green-heart-above-yellow-square.png"));
      const worst = picture.rgb.reduce(
        (max, v, i) => Math.max(max, Math.abs(v - shown.rgb[i]!)),
        0,
      );
      assert.ok(worst <= 2, `its picture differs by ${worst} of 255`);
    });

    await t.step("the infotext says how it was made", () => {
      const { prompt, negativePrompt, steps, sampler, cfgScale, seed, width, height, modelName } =
        parseInfotext(picture.text.parameters!);
      assert.deepEqual(
        { prompt, negativePrompt, steps, sampler, cfgScale, seed, width, height, modelName },
        {
          ...{
            prompt: PROMPT,
            negativePrompt: "",
            steps: 25,
            sampler: "DPM++ 2M Karras",
            cfgScale: 7,
          },
          ...{ seed: 1, width: 64, height: 64, modelName: "Tutti(3)" },
        },
      );
    });

    await t.step("the tutti chunk names the experts and their weights", () => {
      const { experts, prompt, steps, guidanceScale, seed, sabw, vaeHash, ensemble } = JSON.parse(
        picture.text.tutti!,
      );
      assert.deepEqual(
        { prompt, steps, guidanceScale, seed, sabw, ensemble },
        {
          ...{ prompt: PROMPT, steps: 25, guidanceScale: 7, seed: "1" },
          ...{ sabw: "sabw", ensemble: "shapes" },
        },
      );
      const named = experts as { name: string; modelHash: string }[];
      assert.deepEqual(named.map(({ name }) => name), [...ZOO_EXPERTS]);
      const hashes = [...named.map(({ modelHash }) => modelHash), vaeHash];
      for (const hash of hashes) assert.match(hash, /^[0-9a-f]{64}$/);
      assert.equal(new Set(hashes).size, 4);
    });
  },
);
