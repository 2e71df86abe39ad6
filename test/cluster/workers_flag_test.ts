import assert from "node:assert/strict";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { parseInfotext } from "../../coordinator/image/infotext.ts";
import { writeRandomSabw } from "../../coordinator/zoo/random_sabw.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { toFloat32 } from "../../shared/tensor/tensor.ts";
import { LONG_LIVED_MS, testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng, ZOO_EXPERTS, zooPath } from "../support/zoo.ts";

/** Starts a worker as a user does and reads its address from the line that it prints. */
async function startWorker(home: TuttiHome, name: string) {
  const worker = home.start([
    ...["worker", "--model", zooPath(name), "--listen", "127.0.0.1:0"],
    ...["--threads", "1"],
  ], { timeoutMs: LONG_LIVED_MS });
  const [, address] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+): serving/m);
  return { worker, address: address! };
}

testTutti(
  "tutti sample --workers plays running workers, with trained aggregators or without",
  async (home, t) => {
    const started = await Promise.all(ZOO_EXPERTS.map((name) => startWorker(home, name)));
    const addresses = started.map(({ address }) => address);
    const pixels = async (...flags: string[]) => {
      const out = ["--steps", "2", "--seed", "3", "--out", "picture.png"];
      const { stderr } = await home.expect(0, ["sample", PROMPT, ...out, ...flags]);
      assert.doesNotMatch(stderr, /Starting a worker/);
      return await readPng(home.file("picture.png"));
    };
    const files = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
    const workers = ["--workers", addresses.join(","), ...files];
    const uniform = await pixels(...workers);

    await t.step("their order is the experts' order", async () => {
      assert.equal(parseInfotext(uniform.text.parameters!).modelName, "Tutti(3)");
      const one = await pixels("--workers", addresses[1]!, ...files);
      const hashesOf = ({ text }: typeof one) =>
        JSON.parse(text.tutti!).experts.map((expert: { modelHash: string }) => expert.modelHash);
      assert.equal(hashesOf(uniform)[1], hashesOf(one)[0]);
      assert.notDeepEqual(uniform.rgb, one.rgb);
      const [last, , first] = addresses;
      const turned = await pixels("--workers", `${first}, ${addresses[1]},${last}`, ...files);
      assert.deepEqual(hashesOf(turned), hashesOf(uniform).reverse());
    });

    const expert = await connectExpert(addresses[0]!);
    const { blocks, timeEmbedDim, crossAttentionDim } = expert.description;
    await expert.close();
    const experts = { blocks, timeEmbedDim, crossAttentionDim, numExperts: 3 };
    const sizes = { ...experts, hiddenSize: 16, numLayers: 1, numHeads: 2, normNumGroups: 4 };

    await t.step("--sabw that sees no difference is the average", async () => {
      await writeRandomSabw(home.file("equal"), { ...sizes, isUniform: true });
      const equal = await pixels(...workers, "--sabw", "equal");
      assert.equal(JSON.parse(equal.text.tutti!).sabw, "equal");
      assert.ok(equal.rgb.every((value, i) => Math.abs(value - uniform.rgb[i]!) <= 1));
    });

    await t.step(
      "--save-maps writes the attention of every block and step, which sums to 1",
      async () => {
        await writeRandomSabw(home.file("sabw"), sizes);
        const flags = ["--sabw", "sabw", "--save-maps", "maps.safetensors"];
        assert.notDeepEqual((await pixels(...workers, ...flags)).rgb, uniform.rgb);
        const maps = await SafetensorsFile.open(home.file("maps.safetensors"));
        const names = [0, 1].flatMap((step) => blocks.map(({ id }) => `00${step}.${id}`));
        assert.deepEqual([...maps.entries.keys()].sort(), names.sort());
        for (const name of names) {
          const { shape, data } = toFloat32(await maps.read(name));
          const [batch = 0, experts = 0, height = 0, width = 0] = shape;
          assert.deepEqual([batch, experts], [2, 3], name);
          const area = height * width;
          for (let i = 0; i < batch * area; i++) {
            const start = Math.floor(i / area) * experts * area + i % area;
            const sum = data[start]! + data[start + area]! + data[start + 2 * area]!;
            assert.ok(Math.abs(sum - 1) < 1e-5, `${name}: ${sum}`);
          }
          assert.ok(data.some((value) => Math.abs(value - 1 / 3) > 1e-3), `${name} is uniform`);
        }
        const { experts, timesteps } = maps.metadata;
        assert.deepEqual(JSON.parse(experts!), addresses);
        assert.deepEqual(JSON.parse(timesteps!).length, 2);
        // The blocks' own sizes: the first at 8 x 8 latent pixels, the middle at 1 x 1.
        assert.deepEqual(maps.entries.get("000.IN00")!.shape, [2, 3, 8, 8]);
        assert.deepEqual(maps.entries.get("001.M00")!.shape, [2, 3, 1, 1]);
      },
    );

    for (const { worker } of started) worker.kill("SIGINT");
    const ends = await Promise.all(started.map(({ worker }) => worker.result));
    assert.deepEqual(ends.map(({ code }) => code), [0, 0, 0]);
  },
);
