import assert from "node:assert/strict";
import { checkRunningLoras, recordedLoras } from "../../../coordinator/cluster/expert_loras.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { TuttiError } from "../../../shared/errors.ts";
import {
  descriptionFromMessage,
  descriptionToMessage,
} from "../../../shared/wire/convert_description.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { kohyaTensors, randomLayer, writeLora } from "../../support/lora_files.ts";
import { serveExpert } from "../../support/serve_expert.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

const MODEL = goldenExpert("a");
const AT = { name: "photo", address: "gpu-2:7070" };

/** Two LoRAs, and the first one under another name and with other metadata. */
async function writeLoras(folder: TempFolder) {
  const layer = await randomLayer(MODEL, "unet", "mid_block.attentions.0.proj_in");
  const tensors = kohyaTensors([layer]);
  return {
    ink: await writeLora(folder.join("ink.safetensors"), tensors),
    copy: await writeLora(folder.join("copy.safetensors"), tensors, { note: "the same" }),
    glow: await writeLora(folder.join("glow.safetensors"), kohyaTensors([{ ...layer, alpha: 2 }])),
  };
}

Deno.test("a remote expert's description names its LoRAs, as the local one's does", async () => {
  await using folder = await tempFolder();
  const { ink, glow } = await writeLoras(folder);
  const loras = [{ path: ink, weight: 0.8 }, { path: glow, weight: -0.5 }];
  const expert = await openLocalExpert({
    model: MODEL,
    device: "cpu",
    lanes: 1,
    threads: 1,
    loras,
  });
  try {
    const { description } = expert;
    const shown = description.loras.map(({ name, weight }) => `${name} ${weight}`);
    assert.deepEqual(shown.sort(), ["glow -0.5", "ink 0.8"]);
    await using served = await serveExpert(expert);
    assert.deepEqual(served.remote.description, description);
  } finally {
    await expert.close();
  }
});

Deno.test("checkRunningLoras() takes the same tensors and weights, under any name and in any order", async () => {
  await using folder = await tempFolder();
  const { ink, copy, glow } = await writeLoras(folder);
  const loras = [{ path: ink, weight: 0.8 }, { path: glow, weight: 1 }];
  const expert = await openLocalExpert({
    model: MODEL,
    device: "cpu",
    lanes: 1,
    threads: 1,
    loras,
  });
  const { loras: running } = expert.description;
  await expert.close();
  await checkRunningLoras([{ path: glow, weight: 1 }, { path: copy, weight: 0.8 }], running, AT);
  // What has no weight has no effect.
  await checkRunningLoras([{ path: ink, weight: 0 }], [], AT);

  for (const wanted of [[], [loras[0]!], [{ path: ink, weight: 0.7 }, loras[1]!]]) {
    await assert.rejects(checkRunningLoras(wanted, running, AT), (error: unknown) => {
      assert.ok(error instanceof TuttiError);
      assert.equal(error.code, "FAILED_PRECONDITION");
      assert.match(
        error.message,
        /^Expert "photo" runs at gpu-2:7070 with LoRA (ink:0\.8, glow:1|glow:1, ink:0\.8), and a running worker cannot change that: start that worker again with "/,
      );
      return true;
    });
  }
  await assert.rejects(checkRunningLoras(loras, [], AT), {
    message:
      'Expert "photo" runs at gpu-2:7070 with no LoRA, and a running worker cannot change that: ' +
      `start that worker again with "--lora ${ink}:0.8 --lora ${glow}:1"`,
  });
});

Deno.test("recordedLoras() is the same for the same files, in any order and by any path", async () => {
  await using folder = await tempFolder();
  const { ink, glow } = await writeLoras(folder);
  await Deno.symlink(ink, folder.join("link"));
  assert.deepEqual(
    await recordedLoras([{ path: folder.join("link"), weight: 1 }, { path: glow, weight: 2 }]),
    await recordedLoras([{ path: glow, weight: 2 }, { path: ink, weight: 1 }]),
  );
  assert.deepEqual(await recordedLoras([{ path: folder.join("none"), weight: 1 }]), [
    `${folder.join("none")}:1`,
  ]);
});

Deno.test("descriptionFromMessage() refuses LoRAs that make no sense, naming the field", () => {
  const worker = {
    versions: { protocol: { min: 1, max: 1 }, tutti: "0", deno: "0", runtime: "" },
    expert: new AffineExpert().description,
    configJson: "",
    limits: {
      ...{ maxMessageBytes: 1, maxBatch: 1, maxLatentHeight: 1, maxLatentWidth: 1, maxTokens: 1 },
      ...{ maxTimesteps: 1, maxSessions: 1, sessionBytes: 1, arenaBytes: 1, maxCalls: 1 },
      idleLimitSeconds: 1,
      ...{ maxWaiting: 1, maxSessionsPerJob: 1 },
    },
  };
  const good = { name: "ink", hash: "0".repeat(64), weight: -2.5 };
  const read = (loras: unknown) =>
    descriptionFromMessage({ ...descriptionToMessage(worker), loras }).expert.loras;
  assert.deepEqual(read([good]), [good]);
  assert.deepEqual(read(undefined), []);
  const cases: [unknown, RegExp][] = [
    [[{ ...good, name: "" }], /LoraDescription\.name/],
    [[{ ...good, hash: "0".repeat(63) }], /LoraDescription\.hash must be 64 hexadecimal digits/],
    [[{ ...good, weight: NaN }], /LoraDescription\.weight/],
    [[{ ...good, weight: Infinity }], /LoraDescription\.weight/],
    [new Array(65).fill(good), /DescribeResponse\.loras must be a list of at most 64 entries/],
    [[null], /LoraDescription/],
  ];
  for (const [loras, message] of cases) assert.throws(() => read(loras), { message });
});
