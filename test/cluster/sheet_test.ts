import assert from "node:assert/strict";
import { decodePng } from "../../coordinator/image/png.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng } from "../support/zoo.ts";

const OTHER = "a large red heart on a plain white background";
const FEW = ["--steps", "2", "--size", "16", "--seed", "5"];

interface SheetJson {
  readonly columns: readonly { readonly title: string; readonly msPerPicture: number }[];
  readonly rows: readonly { readonly prompt: string; readonly seeds: readonly string[] }[];
}

/** The pictures that a sheet holds, in the order of its rows. */
async function cellsOf(home: TuttiHome, name: string) {
  const svg = await Deno.readTextFile(home.file(name));
  return [...svg.matchAll(/href="data:image\/png;base64,([^"]+)"/g)]
    .map(([, data]) => decodePng(Uint8Array.fromBase64(data!)));
}

testTutti("tutti sheet holds the pixels of single runs", async (home, t) => {
  await home.expect(0, ["up"]);
  /** The pixels of a run of its own. */
  const single = async (...args: string[]) => {
    await home.expect(0, ["sample", ...args, "--out", "single.png"]);
    return (await readPng(home.file("single.png"))).rgb;
  };

  await t.step("each expert alone, averaging and AFA, a row a prompt", async () => {
    const args = ["sheet", PROMPT, OTHER, ...FEW, "--out", "sheet.svg"];
    const [result] = await home.json<SheetJson>(args);
    assert.deepEqual(result!.columns.map(({ title }) => title), [
      ...["round alone", "square alone", "pointed alone", "averaging", "AFA"],
    ]);
    assert.ok(result!.columns.every(({ msPerPicture }) => msPerPicture > 0));
    assert.deepEqual(result!.rows, [PROMPT, OTHER].map((prompt) => ({ prompt, seeds: ["5"] })));
    const cells = await cellsOf(home, "sheet.svg");
    assert.equal(cells.length, 10);
    assert.deepEqual(cells[1]!.rgb, await single(PROMPT, ...FEW, "--method", "only:square"));
    assert.deepEqual(cells[9]!.rgb, await single(OTHER, ...FEW));
  });

  await t.step("samplers as columns, several pictures a cell, rows of a file", async () => {
    const line = { prompt: PROMPT, seed: 9, guidance: 3 };
    await Deno.writeTextFile(home.file("rows.txt"), JSON.stringify(line));
    const flags = ["--samplers", "euler,ddim", "--method", "average", "--batch", "2"];
    await home.expect(0, ["sheet", "--prompts", "rows.txt", ...FEW, ...flags, "--out", "b.svg"]);
    const cells = await cellsOf(home, "b.svg");
    assert.equal(cells.length, 4);
    const drawn = await home.expect(0, [
      ...["sample", PROMPT, ...FEW.slice(0, 4), "--seed", "9", "--guidance", "3", "--batch", "2"],
      ...["--sampler", "ddim", "--method", "average", "--out", "many.png"],
    ]);
    assert.equal(drawn.stdout, "many-1.png (seed 9)\nmany-2.png (seed 10)\n");
    for (const i of [1, 2]) {
      const { rgb } = await readPng(home.file(`many-${i}.png`));
      assert.deepEqual(cells[1 + i]!.rgb, rgb);
    }
  });

  await t.step(
    '"all" leaves out what does not fit and says so; what is named must fit',
    async () => {
      const { stderr } = await home.expect(0, [
        ...["sheet", OTHER, ...FEW, "--methods", "all", "--sabw", "uniform", "--out", "c.svg"],
      ]);
      assert.match(stderr, /^Without afa: Method afa needs trained aggregators/m);
      assert.ok((await cellsOf(home, "c.svg")).length >= 8);
      const { stderr: refused } = await home.expect(2, [
        ...["sheet", OTHER, ...FEW, "--methods", "only:rond"],
      ]);
      assert.match(refused, /names the expert "rond".* \(did you mean "round"\?\)/);
    },
  );
  await home.expect(0, ["down"]);
});
