import assert from "node:assert/strict";
import { join } from "node:path";
import { localPath } from "../../../shared/hub/cached_model.ts";
import { parseModelName } from "../../../shared/hub/model_name.ts";
import { pullModel } from "../../../shared/hub/pull_model.ts";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { type HubServer, sha256, startHub } from "./hub_server.ts";

const bytes = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed + (i >> 8)) % 256);
const text = (value: string) => new TextEncoder().encode(value);

const WEIGHTS = bytes(300_000, 7);
const FOLDER = {
  "README.md": text("# A model"),
  "model_index.json": text("{}"),
  "unet/config.json": text('{"sample_size": 64}'),
  "unet/diffusion_pytorch_model.safetensors": WEIGHTS,
  "unet/diffusion_pytorch_model.fp16.safetensors": bytes(10, 1),
  "vae/config.json": text("{}"),
  "vae/diffusion_pytorch_model.fp16.safetensors": bytes(20, 2),
  "safety_checker/model.safetensors": bytes(30, 3),
};

interface Scene {
  readonly hub: HubServer;
  readonly cache: TempFolder;
  /** Waits that were asked for, ms. */
  readonly pauses: number[];
  pull(name: string): ReturnType<typeof pullModel>;
}

async function withHub(
  content: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
  test: (scene: Scene) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using cache = await tempFolder();
  await using hub = startHub(content);
  const all: Record<string, string> = {
    ...{ HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: cache.path, HF_HOME: cache.join("home") },
    ...env,
  };
  const pauses: number[] = [];
  await test({
    ...{ hub, cache, pauses },
    pull: (name) =>
      pullModel(parseModelName(name), {
        env: (variable) => all[variable],
        pause: (ms) => Promise.resolve(void pauses.push(ms)),
      }),
  });
}

Deno.test("pullModel() gets what a diffusers model needs, in the layout of Hugging Face's cache, once", async () => {
  await withHub(FOLDER, async ({ hub, cache, pull }) => {
    const { path, files } = await pull("hf:owner/name");
    const repository = cache.join("models--owner--name");
    const snapshot = join(repository, "snapshots", hub.commit);
    assert.equal(path, snapshot);
    assert.deepEqual(files.map((file) => file.path.slice(snapshot.length + 1)), [
      "model_index.json",
      "unet/config.json",
      "unet/diffusion_pytorch_model.safetensors",
      "vae/config.json",
      "vae/diffusion_pytorch_model.fp16.safetensors",
    ]);
    const weights = join(snapshot, "unet/diffusion_pytorch_model.safetensors");
    assert.deepEqual(await Deno.readFile(weights), WEIGHTS);
    assert.equal(await Deno.readLink(weights), `../../../blobs/${sha256(WEIGHTS)}`);
    assert.equal(await Deno.readTextFile(join(repository, "refs/main")), hub.commit);
    // Asked again, it gets nothing again.
    const gets = () => hub.seen.filter(({ host }) => host === "files").length;
    const before = gets();
    assert.ok((await pull("hf:owner/name")).files.every(({ wasHere }) => wasHere));
    assert.equal(gets(), before);
  });
});

Deno.test("pullModel() goes on where connections broke", async () => {
  await withHub({ "a.safetensors": WEIGHTS }, async ({ hub, pauses, pull }) => {
    hub.behaviour = { breaksAfter: 100_000 };
    const { path } = await pull("hf:owner/name/a.safetensors");
    assert.deepEqual(await Deno.readFile(path), WEIGHTS);
    const ranges = hub.seen.filter(({ host }) => host === "files").map(({ range }) => range);
    assert.deepEqual(ranges, [null, "bytes=100000-", "bytes=200000-"]);
    assert.deepEqual(pauses, [1000, 1000]);
  });
});

Deno.test("pullModel() keeps what came when a host gives up, and the next call asks for the rest", async () => {
  await withHub({ "a.safetensors": WEIGHTS }, async ({ hub, cache, pauses, pull }) => {
    const blobs = cache.join("models--owner--name", "blobs");
    await Deno.mkdir(blobs, { recursive: true });
    const incomplete = join(blobs, `${sha256(WEIGHTS)}.incomplete`);
    await Deno.writeFile(incomplete, WEIGHTS.subarray(0, 100_000));
    hub.behaviour = { statuses: [429, 503, 429, 503, 500] };
    const error = await pull("hf:owner/name/a.safetensors").catch((error) => error);
    assert.equal(error.code, "UNAVAILABLE");
    assert.match(
      error.message,
      /answers 500 for .*\/a\.safetensors\. 100\.0 kB of a\.safetensors are kept/,
    );
    assert.doesNotMatch(error.message, /secret/);
    assert.deepEqual(pauses, [7000, 7000, 7000, 7000], "what Retry-After asks for");
    hub.seen.length = 0;
    hub.behaviour = {};
    const { path } = await pull("hf:owner/name/a.safetensors");
    assert.deepEqual(hub.seen.at(-1)!.range, "bytes=100000-");
    assert.deepEqual(await Deno.readFile(path), WEIGHTS);
  });
});

Deno.test("pullModel() begins anew where a host knows no ranges", async () => {
  await withHub({ "a.safetensors": WEIGHTS }, async ({ hub, cache, pull }) => {
    const blobs = cache.join("models--owner--name", "blobs");
    await Deno.mkdir(blobs, { recursive: true });
    await Deno.writeFile(join(blobs, `${sha256(WEIGHTS)}.incomplete`), new Uint8Array(5000));
    hub.behaviour = { ignoresRanges: true };
    const { path } = await pull("hf:owner/name/a.safetensors");
    assert.deepEqual(hub.seen.at(-1)!.range, "bytes=5000-");
    assert.deepEqual(await Deno.readFile(path), WEIGHTS);
  });
});

Deno.test("pullModel() removes what has a wrong hash, large or small", async () => {
  const content = { "a.safetensors": WEIGHTS, "config.json": text("{}") };
  await withHub(content, async ({ hub, cache, pull }) => {
    for (
      const [file, hash] of [["a.safetensors", "0".repeat(64)], ["config.json", "1".repeat(40)]]
    ) {
      hub.behaviour = { hash: hash! };
      await assert.rejects(pull(`hf:owner/name/${file}`), {
        code: "DATA_LOSS",
        message: new RegExp(`^${file} must have the (SHA-256|git hash) ${hash}: what came has`),
      });
      const blob = cache.join("models--owner--name", "blobs", hash!);
      assert.ok(!await exists(blob) && !await exists(`${blob}.incomplete`));
    }
  });
});

Deno.test("pullModel() shows its token to the hub alone, not where the hub sends it", async () => {
  const env = { HF_TOKEN: "hf_secret" };
  await withHub({ "a.safetensors": WEIGHTS }, async ({ hub, pull }) => {
    hub.behaviour = { token: "hf_secret" };
    await pull("hf:owner/name/a.safetensors");
    const of = (host: string) =>
      new Set(hub.seen.filter((s) => s.host === host).map((s) => s.authorization));
    assert.deepEqual(of("hub"), new Set(["Bearer hf_secret"]));
    assert.deepEqual(of("files"), new Set([null]));
  }, env);
  await withHub({ "a.safetensors": WEIGHTS }, async ({ hub, pull }) => {
    hub.behaviour = { token: "hf_secret" };
    await assert.rejects(pull("hf:owner/name/a.safetensors"), {
      code: "PERMISSION_DENIED",
      message: /\(401\)\. Set HF_TOKEN to a token that may read it, and accept/,
    });
  });
});

Deno.test("pullModel() names what is not there, and the files of a repository with several models", async () => {
  const content = { "a.safetensors": WEIGHTS, "b.safetensors": WEIGHTS };
  await withHub(content, async ({ pull }) => {
    await assert.rejects(pull("hf:owner/name/absent.safetensors"), {
      code: "NOT_FOUND",
      message: /^There is no http:\/\/127\.0\.0\.1:\d+\/owner\/name\/resolve\/main\/absent/,
    });
    await assert.rejects(pull("hf:owner/name"), {
      message: /it has a\.safetensors, b\.safetensors$/,
    });
  });
});

Deno.test("pullModel() gets a file from an address, with its hash behind it, and localPath() finds it", async () => {
  await using state = await tempFolder();
  const former = Deno.env.get("XDG_STATE_HOME");
  Deno.env.set("XDG_STATE_HOME", state.path);
  try {
    await withHub({ "a.safetensors": WEIGHTS }, async ({ hub, pull }) => {
      const url = `${hub.files}/a.safetensors`;
      await assert.rejects(localPath(url), {
        name: "FormatError",
        message: `Model "${url}" is not on this machine: get it with tutti pull ${url}`,
      });
      await assert.rejects(pull(`${url}#sha256=${"0".repeat(64)}`), { code: "DATA_LOSS" });
      hub.behaviour = { breaksAfter: 200_000 };
      const { path } = await pull(`${url}?token=abc#sha256=${sha256(WEIGHTS)}`);
      assert.deepEqual(await Deno.readFile(path), WEIGHTS);
      assert.equal(await localPath(url), path);
    });
  } finally {
    if (former === undefined) Deno.env.delete("XDG_STATE_HOME");
    else Deno.env.set("XDG_STATE_HOME", former);
  }
});

Deno.test("parseModelName() reads repositories, revisions, files and addresses", () => {
  const hub = { kind: "hub", repository: "owner/na.me", revision: "main" };
  assert.deepEqual(parseModelName("hf:owner/na.me"), hub);
  assert.deepEqual(parseModelName("hf:owner/na.me@v1/unet/a b.safetensors"), {
    ...{ ...hub, revision: "v1", file: "unet/a b.safetensors" },
  });
  assert.deepEqual(parseModelName("https://civitai.com/models/12/photo?modelVersionId=34"), {
    ...{ kind: "address", url: "https://civitai.com/api/download/models/34" },
  });
  for (
    const wrong of [
      ...["hf:", "hf:owner", "hf:owner/name/../../x", "hf:owner/name//x", "hf:owner/name/a\\b"],
      ...["http://example.com/a.safetensors", "https://", "https://a/b#sha256=12"],
      "https://civitai.com/models/12",
    ]
  ) {
    assert.throws(() => parseModelName(wrong), { name: "UsageError" }, wrong);
  }
});
