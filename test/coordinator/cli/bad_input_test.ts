import assert from "node:assert/strict";
import { cp, mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { goldenPath } from "../../support/goldens.ts";
import { testTutti, type TuttiHome } from "../../support/run_tutti.ts";
import { inTurns } from "../../support/in_turns.ts";
import { zooPath } from "../../support/zoo.ts";

/** An ensemble file of these models, by the experts' names. */
async function ensembleOf(home: TuttiHome, name: string, models: Record<string, string>) {
  const experts = Object.entries(models).map(([expert, model]) =>
    `[[experts]]\nname = "${expert}"\nmodel = "${model}"\n`
  );
  const shared = `vae = "${zooPath("vae")}"\ntokenizer = "${zooPath("tokenizer")}"\n`;
  await writeFile(home.file(`${name}.toml`), `name = "${name}"\n${shared}${experts.join("")}`);
  return ["--ensemble", `${name}.toml`];
}

const ONE_STEP = ["sample", "x", "--steps", "1", "--size", "8"];

testTutti(
  "a model that cannot be read ends tutti sample with 4 and what its worker said",
  async (home) => {
    await cp(zooPath("round"), home.file("cut"), { recursive: true });
    await truncate(home.file("cut/unet/diffusion_pytorch_model.safetensors"), 100_000);
    await writeFile(home.file("old.ckpt"), Buffer.from("PK\x03\x04 a pickle in a zip archive"));
    await mkdir(home.file("text-only"));
    await cp(zooPath("round/text_encoder"), home.file("text-only/text_encoder"), {
      recursive: true,
    });
    const cases = [
      ["cut", /Tensor ".+" of ".+cut\/unet\/.+" must lie in the \d+ bytes .* may be truncated/],
      ["old.ckpt", /old\.ckpt" must be a whole zip archive, .* download it again/],
      ["text-only", /text-only\/unet\/config\.json/],
    ] as const;
    await inTurns(cases, async ([model, message]) => {
      const models = { good: zooPath("round"), bad: home.file(model) };
      const flags = await ensembleOf(home, model, models);
      const { stdout, stderr } = await home.expect(4, [...ONE_STEP, ...flags]);
      assert.match(stderr, /^error: Worker "bad" did not start: /m);
      assert.match(stderr, message);
      assert.equal(stdout, "");
    });
  },
);

testTutti(
  "experts that do not fit each other are refused by the field in which they differ",
  async (home) => {
    const flags = await ensembleOf(home, "mixed", {
      zoo: zooPath("round"),
      other: goldenExpert("a"),
    });
    const { stdout, stderr } = await home.expect(1, [...ONE_STEP, ...flags, "--json"]);
    const { code, message, details } = JSON.parse(stdout);
    // They differ in widths, too, with which methods on noise could live.
    assert.deepEqual([code, details.field], ["FAILED_PRECONDITION", "texts[0].vocabSize"]);
    assert.deepEqual([details.firstValue, details.secondValue], ["305", "300"]);
    assert.match(
      message,
      /^Experts must agree in texts\[0\]\.vocabSize: 305 at zoo \(.* 300 at other \(/,
    );
    assert.match(stderr, /^error: Experts must agree in texts\[0\]\.vocabSize/m);
  },
);

testTutti("the same expert twice is drawn, with a warning", async (home) => {
  const flags = await ensembleOf(home, "twins", { one: zooPath("round"), two: zooPath("round") });
  const { stderr } = await home.expect(0, [...ONE_STEP, ...flags]);
  assert.match(stderr, /^warning: The expert at two \(\S+\) has the same weights as .* one \(/m);
});

testTutti(
  "what the experts do not have, or take, is wrong usage once the experts are known",
  async (home) => {
    await home.expect(0, ["up"]);
    const cases = [
      [["--batch", "100"], /--batch is beyond what a worker takes: .*at most 32 .* 200 \(rows/],
      // Noise for all of them would take 64 GiB.
      [["--size", "16384", "--batch", "1024"], /--batch is beyond what a worker takes: .* 2048/],
      [["--clip-skip", "99"], /--clip-skip is beyond what a worker takes: .* in 1\.\.2, .* 99/],
      [["--wire-dtype", "f16,OUT99=int8"], /--wire-dtype must name blocks among .* "OUT99"/],
      [["--aggregate", "OUT99"], /Aggregated blocks must be among .* "OUT99"/],
    ] as const;
    await inTurns(cases, async ([flags, message]) => {
      assert.match((await home.expect(2, ["sample", "x", ...flags])).stderr, message);
    });

    const { stderr } = await home.expect(4, [...ONE_STEP, "--sabw", goldenPath("sd15", "sabw")]);
    assert.match(stderr, /sabw": "num_models" must be 3 for these experts: current value is 2/);
    const missing = await home.expect(4, [...ONE_STEP, "--sabw", "nowhere"]);
    assert.match(missing.stderr, /nowhere\/model_config\.json/);

    await writeSafetensors(home.file("flat.safetensors"), { latents: f32([4, 8, 8]) });
    const init = await home.expect(4, [
      ...ONE_STEP.slice(0, 4),
      "--init-latents",
      "flat.safetensors",
    ]);
    assert.match(
      init.stderr,
      /"latents" of "flat\.safetensors" must be \[B, 4, H, W\]: .* \[4,8,8\]/,
    );
    await home.expect(0, ["down"]);
  },
);

testTutti(
  "a VAE or tokenizer that is not there, or a folder that cannot be one, is refused before a worker is started",
  async (home) => {
    const cases = [
      [["--vae", "nowhere"], /Cannot open VAE ".*nowhere": no such file or folder/],
      [["--tokenizer", "nowhere"], /Tokenizer folder ".*nowhere" must hold vocab\.json/],
      [
        ["--tokenizer", zooPath("vae")],
        /Tokenizer folder ".*vae" must hold vocab\.json and merges/,
      ],
      [["--vae", zooPath("tokenizer")], /tokenizer\/config\.json/],
      [["--out", "file"], /^error: Cannot write to --out "file": .*\. Choose another --out/m],
    ] as const;
    await writeFile(home.file("file"), "");
    await inTurns(cases, async ([flags, message]) => {
      const { stderr } = await home.expect(4, [...ONE_STEP, ...flags]);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /Starting/);
    });
  },
);

testTutti(
  "a coordinator that cannot write its folder ends before it asks for jobs",
  async (home) => {
    await writeFile(home.file("file"), "");
    const args = ["coordinator", "--nats", "nats://127.0.0.1:1", "--out", "file"];
    const { stderr } = await home.expect(4, args);
    assert.match(stderr, /^error: Cannot write to --out "file": .*\. Choose another --out/m);
  },
);

testTutti("a wrong ensemble file is refused with 4, naming file and key", async (home) => {
  const text = await readFile(zooPath("ensemble.toml"), "utf8");
  const cases = [
    ["no-such", undefined, /Cannot read ensemble file ".*no-such\.toml"/],
    ["syntax", "name = ", /syntax\.toml:1:\d+: Ensemble file must be TOML/],
    ["key", text.replace("sabw =", "sabv ="), /key\.toml: "sabv" is no known key.*sabw/],
    ["path", text, /path\.toml: "scheduler" must be .*\/cwd\/scheduler.* does not\)/],
  ] as const;
  await inTurns(cases, async ([name, content, message]) => {
    if (content !== undefined) await writeFile(home.file(`${name}.toml`), content);
    for (const args of [[...ONE_STEP, "--ensemble"], ["up"], ["down"]]) {
      const { stderr } = await home.expect(4, [...args, `${name}.toml`]);
      assert.match(stderr, message);
    }
  });
});

testTutti(
  "where no worker answers, the exit code is 3 and the message says what to do",
  async (home) => {
    await using web = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => new Response("hello"),
    );
    await using old = await http1Server();
    const files = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
    const cases = [
      ["127.0.0.1:1", /No worker can be reached at 127\.0\.0\.1:1 .*"tutti worker --model DIR/],
      [`127.0.0.1:${web.addr.port}`, /What answers at \S+ is no Tutti worker .*: check the port/],
      [`127.0.0.1:${old.port}`, /error: (No worker|What answers|Nothing) .*127\.0\.0\.1:\d+/],
    ] as const;
    await inTurns(cases, async ([address, message]) => {
      const { stderr } = await home.expect(3, [...ONE_STEP, "--workers", address, ...files]);
      assert.match(stderr, message);
      assert.match((await home.expect(3, ["health", address])).stderr, message);
      for (const command of [["ps"], ["top", "--once", "--interval", "0.1"]]) {
        const args = [...command, "--workers", address];
        const [row, error] = await home.json(args, { code: 3 });
        assert.deepEqual(Object.keys(row!), ["version", "address", "error", "code"]);
        assert.equal(error!.message, `1 of 1 workers cannot be reached: ${address}`);
      }
    });
  },
);

/** A web server that knows nothing of HTTP/2. */
async function http1Server(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((_, response) => void response.end("hello"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
