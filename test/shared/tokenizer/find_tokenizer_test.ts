import assert from "node:assert/strict";
import { join } from "node:path";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { findTokenizer } from "../../../shared/tokenizer/find_tokenizer.ts";
import { hubFolder, snapshotsOf } from "../../../shared/tokenizer/hugging_face_cache.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { MERGES, VOCAB } from "./tokenizer_folder.ts";

const PAIR = ["vocab.json", "merges.txt"] as const;

/** Empty files, with their folders. */
async function put(folder: TempFolder, ...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await Deno.mkdir(folder.join(path, ".."), { recursive: true });
    await Deno.writeTextFile(folder.join(path), "");
  }
}

const pair = (folder: string) => PAIR.map((name) => join(folder, name));

/** An environment whose Hugging Face cache is `hub` in the folder. */
const envOf = (folder: TempFolder) => (name: string) =>
  name === "HF_HUB_CACHE" ? folder.join("hub") : undefined;

/** All places, best first: what was named, beside the models, the caches. */
async function everywhere(folder: TempFolder): Promise<[path: string, found: string][]> {
  const clip = "hub/models--openai--clip-vit-large-patch14/snapshots/1";
  const hub = (name: string) => `hub/models--${name}/snapshots/1/tokenizer`;
  const places: [string, string][] = [
    ["models/diffusers/tokenizer", "models/diffusers/tokenizer"],
    ["files/tokenizer", "files/tokenizer"],
    ["files", "files"],
    [clip, clip],
    ...[
      "stable-diffusion-v1-5--stable-diffusion-v1-5",
      "runwayml--stable-diffusion-v1-5",
      "stabilityai--stable-diffusion-xl-base-1.0",
    ].map((name): [string, string] => [hub(name), hub(name)]),
  ];
  await put(folder, "files/photo.safetensors", "models/diffusers/unet/config.json");
  for (const [place] of places) await put(folder, ...pair(place));
  return places;
}

Deno.test("findTokenizer() takes the best place that has one, and the next when that is gone", async () => {
  await using folder = await tempFolder();
  const places = await everywhere(folder);
  const models = [folder.join("models/diffusers"), folder.join("files/photo.safetensors")];
  const search = { models, env: envOf(folder) };
  const named = folder.join("somewhere");
  assert.deepEqual(await findTokenizer({ ...search, named }), { path: named });
  for (const [place, found] of places) {
    assert.deepEqual(await findTokenizer(search), { path: folder.join(found) }, place);
    await Deno.remove(folder.join(place, "merges.txt"));
  }
  await assert.rejects(findTokenizer(search), { name: "FormatError" });
});

Deno.test("findTokenizer() says where it looked and where the files are to be had", async () => {
  await using folder = await tempFolder();
  await put(folder, "files/a.safetensors", "files/b.safetensors", "model/unet/config.json");
  const models = ["files/a.safetensors", "files/b.safetensors", "model"]
    .map((path) => folder.join(path));
  await assert.rejects(findTokenizer({ models, env: envOf(folder) }), {
    name: "FormatError",
    message: "No tokenizer was found: name a folder that holds vocab.json and merges.txt, with " +
      '--tokenizer or as "tokenizer" in the ensemble file; the two files are at ' +
      "https://huggingface.co/openai/clip-vit-large-patch14. Looked in " +
      ["files/tokenizer", "files", "model/tokenizer", "hub"].map((p) => folder.join(p)).join("; ") +
      " (openai/clip-vit-large-patch14, stable-diffusion-v1-5/stable-diffusion-v1-5, " +
      "runwayml/stable-diffusion-v1-5, stabilityai/stable-diffusion-xl-base-1.0)",
  });
  // Workers elsewhere: nothing here but the cache, and perhaps not even that.
  await assert.rejects(findTokenizer({ models: [], env: () => undefined }), {
    name: "FormatError",
    message: /^No tokenizer was found: .* Looked in no place: none is known$/,
  });
});

Deno.test("findTokenizer() takes a tokenizer.json of a folder of its own, not one beside a checkpoint", async () => {
  await using folder = await tempFolder();
  await put(folder, "files/photo.safetensors", "files/tokenizer.json");
  const search = { models: [folder.join("files/photo.safetensors")], env: envOf(folder) };
  await assert.rejects(findTokenizer(search), { name: "FormatError" });
  await put(folder, "files/tokenizer/tokenizer.json");
  assert.deepEqual(await findTokenizer(search), { path: folder.join("files/tokenizer") });
});

Deno.test("findTokenizer() brings SDXL's second tokenizer where it stands beside the first", async () => {
  await using folder = await tempFolder();
  await put(folder, ...pair("sdxl/tokenizer"), ...pair("sdxl/tokenizer_2"), ...pair("sdxl/clip"));
  const [path, path2] = [folder.join("sdxl/tokenizer"), folder.join("sdxl/tokenizer_2")];
  const env = () => undefined;
  assert.deepEqual(await findTokenizer({ models: [folder.join("sdxl")], env }), { path, path2 });
  assert.deepEqual(await findTokenizer({ models: [], named: path, env }), { path, path2 });
  const clip = folder.join("sdxl/clip");
  assert.deepEqual(await findTokenizer({ models: [], named: clip, env }), { path: clip });
  await Deno.remove(folder.join("sdxl/tokenizer_2/vocab.json"));
  assert.deepEqual(await findTokenizer({ models: [], named: path, env }), { path });
});

Deno.test("findTokenizer() follows the links of which a Hugging Face cache is made", async () => {
  await using folder = await tempFolder();
  const repository = "hub/models--openai--clip-vit-large-patch14";
  await put(
    folder,
    `${repository}/blobs/v`,
    `${repository}/blobs/m`,
    `${repository}/snapshots/1/x`,
  );
  for (const [blob, name] of [["v", "vocab.json"], ["m", "merges.txt"]]) {
    await Deno.symlink(`../../blobs/${blob}`, folder.join(repository, "snapshots/1", name!));
  }
  assert.deepEqual(await findTokenizer({ models: [], env: envOf(folder) }), {
    path: folder.join(repository, "snapshots/1"),
  });
});

Deno.test("snapshotsOf() begins with the main branch's", async () => {
  await using folder = await tempFolder();
  const repository = "models--a--b";
  assert.deepEqual(await snapshotsOf(folder.path, "a/b"), []);
  await put(folder, ...["3", "1", "2"].map((name) => join(repository, "snapshots", name, "x")));
  const paths = (...names: string[]) =>
    names.map((name) => folder.join(repository, "snapshots", name));
  assert.deepEqual(await snapshotsOf(folder.path, "a/b"), paths("1", "2", "3"));
  await Deno.mkdir(folder.join(repository, "refs"));
  await Deno.writeTextFile(folder.join(repository, "refs", "main"), "2\n");
  assert.deepEqual(await snapshotsOf(folder.path, "a/b"), paths("2", "1", "3"));
});

for (
  const [env, expected] of [
    [{ HF_HUB_CACHE: "/a", HF_HOME: "/b", HOME: "/d" }, "/a"],
    [{ HUGGINGFACE_HUB_CACHE: "/a", HF_HOME: "/b" }, "/a"],
    [{ HF_HOME: "/b", XDG_CACHE_HOME: "/c", HOME: "/d" }, "/b/hub"],
    [{ HF_HOME: "", XDG_CACHE_HOME: "/c", HOME: "/d" }, "/c/huggingface/hub"],
    [{ HOME: "/d" }, "/d/.cache/huggingface/hub"],
    [{ USERPROFILE: "/u" }, "/u/.cache/huggingface/hub"],
    [{}, undefined],
  ] as const
) {
  Deno.test(`hubFolder() of ${JSON.stringify(env)} is ${expected}`, () => {
    assert.equal(hubFolder((name) => (env as Record<string, string>)[name]), expected);
  });
}

Deno.test("a first tokenizer padded with 0 is SDXL's second one", async () => {
  await using folder = await tempFolder();
  const files = { "vocab.json": JSON.stringify(VOCAB), "merges.txt": MERGES };
  for (const name of ["tokenizer", "tokenizer_2"]) {
    await Deno.mkdir(folder.join(name));
    for (const [file, text] of Object.entries(files)) {
      await Deno.writeTextFile(folder.join(name, file), text);
    }
  }
  await Deno.writeTextFile(
    folder.join("tokenizer_2", "special_tokens_map.json"),
    JSON.stringify({ pad_token: "!" }),
  );
  const first = await ClipTokenizer.load(folder.join("tokenizer"));
  const second = await ClipTokenizer.load(folder.join("tokenizer_2"));
  const derived = await ClipTokenizer.load(folder.join("tokenizer"), { padTokenId: 0 });
  assert.deepEqual([first.padTokenId, second.padTokenId, derived.padTokenId], [8, 0, 0]);
  assert.equal(derived.eosTokenId, first.eosTokenId);
  for (const text of ["ab", "a! b", "ab!!", "! a"]) {
    assert.deepEqual(derived.encode(text), second.encode(text), text);
  }
  assert.notDeepEqual(derived.encode("a!"), first.encode("a!"));
});

Deno.test("ClipTokenizer refuses to pad with a token that is not there", async () => {
  await using folder = await tempFolder();
  await put(folder, "x");
  await Deno.writeTextFile(folder.join("vocab.json"), JSON.stringify(VOCAB));
  await Deno.writeTextFile(folder.join("merges.txt"), MERGES);
  await assert.rejects(ClipTokenizer.load(folder.path, { padTokenId: 9 }), {
    name: "FormatError",
    message: "Vocabulary must have a token of id 9 to pad with",
  });
});
