/** Every file that people name is a regular one, or is refused at once: a pipe waits for ever, a device never ends. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readPromptsFile } from "../../coordinator/cli/prompts_file.ts";
import { loadEnsembleFile } from "../../coordinator/cluster/ensemble_file.ts";
import { FileCheckpoint } from "../../coordinator/jobs/checkpoint_store.ts";
import { readPictureRecord } from "../../coordinator/jobs/picture_record.ts";
import { readMasks } from "../../coordinator/sampling/methods/regions/mask.ts";
import { readSabwMetadata } from "../../coordinator/sampling/methods/sabw/sabw_metadata.ts";
import { readRecords } from "../../coordinator/training/dataset/records.ts";
import { ConfigFields } from "../../shared/models/config/fields.ts";
import { readRegularFile, readRegularText } from "../../shared/regular_file.ts";
import { readTokens } from "../../shared/security/token_file.ts";
import { openWeightFile } from "../../shared/weight_file/open_weight_file.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const ignore = Deno.build.os === "windows";
const silent = () => {};

async function makePipe(path: string): Promise<string> {
  await Deno.mkdir(join(path, ".."), { recursive: true });
  const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
  assert.ok(success, `mkfifo ${path}`);
  return path;
}

Deno.test({
  name: "readRegularFile() reads files, and refuses folders, pipes, devices and what is too large",
  ignore,
  async fn() {
    await using folder = await tempFolder();
    const path = folder.join("a");
    await Deno.writeTextFile(path, "\uFEFFab");
    assert.equal(await readRegularText(path), "ab");
    assert.equal((await readRegularFile(path, 5)).length, 5);
    await assert.rejects(readRegularFile(path, 4), /at most 4 B: current size is 5 B/);
    await assert.rejects(readRegularFile(folder.path), /must be a file: it is a folder/);
    const pipe = await makePipe(folder.join("pipe"));
    await Deno.symlink("/dev/zero", folder.join("device"));
    for (const other of [pipe, folder.join("device")]) {
      await assert.rejects(readRegularFile(other), /must be a file: it is a pipe or device/);
    }
    // A file that takes no room on the disk.
    await Deno.truncate(path, 2 ** 40);
    await assert.rejects(readRegularFile(path), /at most 1\.1 GB: current size is 1\.1 TB/);
    await assert.rejects(readRegularFile(folder.join("none")), Deno.errors.NotFound);
  },
});

const READERS: Readonly<
  Record<
    string,
    readonly [name: string, read: (path: string, folder: TempFolder) => Promise<unknown>]
  >
> = {
  "an ensemble file": ["e.toml", (path) => loadEnsembleFile(path)],
  "a picture": ["p.png", (path) => readPictureRecord(path)],
  "a file of prompts": ["p.txt", (path) => readPromptsFile(path)],
  "a mask": ["m.png", (path) => readMasks([path])],
  "a checkpoint": ["c.ckpt", (path) => new FileCheckpoint(path).load()],
  "captions": ["captions.jsonl", (path) => readRecords(path)],
  "SABW's description": ["tutti.json", (_, folder) => readSabwMetadata(folder.path)],
  "a config": ["config.json", (path) => ConfigFields.read(path)],
  "a token file": ["tokens", (path) => readTokens({ tokenFile: path }, silent)],
  "weights": ["w.safetensors", (path) => openWeightFile(path)],
};

for (const [what, [name, read]] of Object.entries(READERS)) {
  Deno.test({
    name: `${what} that is a pipe is refused by name instead of waited for`,
    ignore,
    async fn() {
      await using folder = await tempFolder();
      const path = await makePipe(folder.join(name));
      await assert.rejects(read(path, folder), (error: Error) => {
        assert.ok(error.message.includes(path), error.message);
        assert.match(error.message, /pipe|device|cannot be read/);
        return true;
      });
    },
  });
}

/** Their files are the system's, or were written by this process. */
const OWN_FILES = [
  "coordinator/bench/",
  "coordinator/cli/bench/",
  "coordinator/zoo/",
  "coordinator/verify/",
  "coordinator/cluster/detached_worker.ts",
  "coordinator/cluster/worker_records.ts",
  "coordinator/http/page/page_files.ts",
  "coordinator/jobs/queue/serve_job.ts",
  "shared/device/instruction_sets.ts",
  "shared/npx_watch.ts",
  "shared/regular_file.ts",
  "shared/wire/connection_room.ts",
  "worker/cli.ts",
];

Deno.test("no reader opens files of people in another way", async () => {
  const root = new URL("../..", import.meta.url).pathname;
  const found: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
      const path = `${folder}/${name}`;
      if (isDirectory) await visit(path);
      else if (name.endsWith(".ts") && !OWN_FILES.some((own) => path.startsWith(own))) {
        const text = await Deno.readTextFile(join(root, path));
        if (/\bDeno\.read(Text)?File\(|\breadFile\(/.test(text)) found.push(path);
      }
    }
  };
  for (const folder of ["coordinator", "shared", "worker"]) await visit(folder);
  assert.deepEqual(found, []);
});
