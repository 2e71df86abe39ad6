import assert from "node:assert/strict";
import { join } from "node:path";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { findTokenizer } from "../../../shared/tokenizer/find_tokenizer.ts";
import { snapshotsOf } from "../../../shared/hub/hugging_face_cache.ts";
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

Deno.test("findTokenizer() takes what was named, then what is beside a model, then CLIP's own", async () => {
  await using folder = await tempFolder();
  await put(folder, "files/photo.safetensors", "models/diffusers/unet/config.json");
  const places = ["models/diffusers/tokenizer", "files/tokenizer", "files"];
  for (const place of places) await put(folder, ...pair(place));
  const models = [folder.join("models/diffusers"), folder.join("files/photo.safetensors")];
  const named = folder.join("somewhere");
  assert.deepEqual(await findTokenizer({ models, named }), { path: named });
  for (const place of places) {
    assert.deepEqual(await findTokenizer({ models }), { path: folder.join(place) }, place);
    await Deno.remove(folder.join(place, "merges.txt"));
  }
  assert.deepEqual(await findTokenizer({ models }), {});
  assert.deepEqual(await findTokenizer({ models: [] }), {}, "workers elsewhere");
});

Deno.test("findTokenizer() takes a tokenizer.json of a folder of its own, not one beside a checkpoint", async () => {
  await using folder = await tempFolder();
  await put(folder, "files/photo.safetensors", "files/tokenizer.json");
  const search = { models: [folder.join("files/photo.safetensors")] };
  assert.deepEqual(await findTokenizer(search), {});
  await put(folder, "files/tokenizer/tokenizer.json");
  assert.deepEqual(await findTokenizer(search), { path: folder.join("files/tokenizer") });
});

Deno.test("findTokenizer() brings SDXL's second tokenizer where it stands beside the first", async () => {
  await using folder = await tempFolder();
  await put(folder, ...pair("sdxl/tokenizer"), ...pair("sdxl/tokenizer_2"), ...pair("sdxl/clip"));
  const [path, path2] = [folder.join("sdxl/tokenizer"), folder.join("sdxl/tokenizer_2")];
  assert.deepEqual(await findTokenizer({ models: [folder.join("sdxl")] }), { path, path2 });
  assert.deepEqual(await findTokenizer({ models: [], named: path }), { path, path2 });
  const clip = folder.join("sdxl/clip");
  assert.deepEqual(await findTokenizer({ models: [], named: clip }), { path: clip });
  await Deno.remove(folder.join("sdxl/tokenizer_2/vocab.json"));
  assert.deepEqual(await findTokenizer({ models: [], named: path }), { path });
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
