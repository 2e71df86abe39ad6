import assert from "node:assert/strict";
import { join } from "node:path";
import { type LocalExpert, openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { FileStamps } from "../../../shared/weight_file/file_stamps.ts";
import { Vae } from "../../../coordinator/sampling/vae.ts";
import { openVaeFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { goldenPath } from "../../support/goldens.ts";
import { makeTensor } from "../../../shared/tensor/tensor.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { eventually } from "../../support/serve_expert.ts";
import { goldenExpert } from "../../support/golden_expert.ts";

/** Of the golden experts' texts. */
const END = 299n;
const PARTS = { unet: "diffusion_pytorch_model.safetensors", text_encoder: "model.safetensors" };

/** An expert whose files are ours to change. */
class OwnExpert implements AsyncDisposable {
  readonly folder: string;
  readonly expert: LocalExpert;

  private constructor(folder: string, expert: LocalExpert) {
    this.folder = folder;
    this.expert = expert;
  }

  static async open(textIdleSeconds = 60): Promise<OwnExpert> {
    const folder = await Deno.makeTempDir();
    for (const [part, file] of Object.entries(PARTS)) {
      await Deno.mkdir(join(folder, part));
      for (const name of ["config.json", file]) {
        await Deno.copyFile(join(goldenExpert("a"), part, name), join(folder, part, name));
      }
    }
    return new OwnExpert(
      folder,
      await openLocalExpert({
        model: folder,
        device: "cpu",
        threads: 1,
        lanes: 1,
        textIdleSeconds,
      }),
    );
  }

  file(part: keyof typeof PARTS): string {
    return join(this.folder, part, PARTS[part]);
  }

  /** Other values in a file that is put in its place, as a copy or a download does. */
  async replace(part: keyof typeof PARTS): Promise<void> {
    const bytes = await Deno.readFile(this.file(part));
    bytes.fill(0, bytes.length - 64);
    await Deno.writeTextFile(join(this.folder, "new"), "");
    await Deno.writeFile(join(this.folder, "new"), bytes);
    await Deno.rename(join(this.folder, "new"), this.file(part));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.expert.close();
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test("weights that were replaced since they were hashed are refused by name", async () => {
  await using own = await OwnExpert.open();
  const config = await sessionConfig(own.expert);
  const session = await own.expert.openSession(config);
  await own.replace("unet");
  const hiddenStates = latentsFor(own.expert.description, config);
  const forward = session.forward({ stepIndex: 0, first: "IN00", last: "IN00", hiddenStates });
  await assert.rejects(forward, (error: Error & { code?: string }) => {
    assert.equal(error.code, "FAILED_PRECONDITION");
    assert.ok(error.message.includes(own.file("unet")));
    assert.match(error.message, /has changed \(another .*inode/);
    return true;
  });
  await session.close();
});

Deno.test("weights that are written over in place are refused, also where they were read before", async () => {
  await using own = await OwnExpert.open();
  const config = await sessionConfig(own.expert);
  const session = await own.expert.openSession(config);
  const hiddenStates = latentsFor(own.expert.description, config);
  const range = { stepIndex: 0, first: "IN00", last: "IN00" } as const;
  await session.forward({ ...range, hiddenStates });
  const bytes = await Deno.readFile(own.file("unet"));
  // A change of rights, or another name for the file, is none of its contents.
  await Deno.chmod(own.file("unet"), 0o600);
  await Deno.link(own.file("unet"), join(own.folder, "another"));
  await session.forward({ ...range, stepIndex: 1, hiddenStates });
  bytes.fill(0, bytes.length - 64);
  await Deno.writeFile(own.file("unet"), bytes);
  const again = session.forward({ ...range, stepIndex: 2, hiddenStates });
  await assert.rejects(again, {
    code: "FAILED_PRECONDITION",
    message: /has changed \(another mtime\)/,
  });
  await session.close();
});

Deno.test("a text encoder that is read again is the one that it was", async () => {
  await using own = await OwnExpert.open(0);
  const ids = makeTensor("int64", [1, 16], new BigInt64Array(16).fill(END));
  await own.expert.encodeText(ids);
  await eventually(() => ![...own.expert.loadedGraphs].some((name) => name.includes("text")));
  await own.replace("text_encoder");
  await assert.rejects(own.expert.encodeText(ids), /text_encoder.* has changed/);
});

Deno.test("stamps tell what of a file is another, also where size and mtime are set back", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "weights");
    const { mtime } = await Deno.stat(path);
    const stamps = FileStamps.of([path]);
    stamps.check();
    // Deno tells ctime in whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await Deno.writeTextFile(path, "WEIGHTS");
    await Deno.utime(path, mtime!, mtime!);
    assert.throws(() => stamps.check(), /has changed \(another ctime\)/);
    await Deno.remove(path);
    assert.throws(() => stamps.check(), { code: "FAILED_PRECONDITION" });
  } finally {
    await Deno.remove(path).catch(() => {});
  }
});

Deno.test("a VAE that was replaced since it was opened decodes nothing", async () => {
  const folder = await Deno.makeTempDir();
  const source = goldenPath("sd15", "vae");
  for await (const { name } of Deno.readDir(source)) {
    await Deno.copyFile(join(source, name), join(folder, name));
  }
  await using vae = new Vae(await openVaeFolder(folder), { device: "cpu", threads: 1 });
  const file = join(folder, PARTS.unet);
  await Deno.rename(file, `${file}.old`);
  await Deno.copyFile(`${file}.old`, file);
  const latents = makeTensor("float32", [1, 4, 4, 4], new Float32Array(64));
  await assert.rejects(vae.decode(latents), /has changed/);
  await Deno.remove(folder, { recursive: true });
});
