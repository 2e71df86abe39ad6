import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { f32 } from "../../shared/tensor/tensor.ts";
import { openGoldenExpert } from "../support/golden_expert.ts";
import { serveExpert } from "../support/serve_expert.ts";

const CLIENT = fileURLToPath(new URL("./client.cjs", import.meta.url));
const PROTO = fileURLToPath(new URL("../../proto", import.meta.url));

async function hasNode(): Promise<boolean> {
  try {
    return (await new Deno.Command("node", { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "a client of others, plain Node with gRPC's packages and the .proto, computes a block",
  // Needs Node.js on the PATH; nothing else of this project does.
  ignore: !await hasNode(),
  async fn() {
    const expert = await openGoldenExpert("a");
    await using served = await serveExpert(expert);
    const { success, stdout, stderr } = await new Deno.Command("node", {
      args: [CLIENT, served.worker.address, PROTO],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const { mean, ...answer } = JSON.parse(new TextDecoder().decode(stdout));

    const { name, modelHash, blocks, latentChannels, sampleSize, texts, crossAttentionDim } =
      expert.description;
    const shape = [1, blocks[0]!.outChannels, sampleSize, sampleSize];
    assert.deepEqual(answer, {
      name,
      model_hash: modelHash,
      blocks: blocks.length,
      block: "IN00",
      shape,
    });
    const inputShape = [1, latentChannels, sampleSize, sampleSize];
    const count = latentChannels * sampleSize * sampleSize;
    const { hiddenStates } = await expert.forwardBlock({
      block: "IN00",
      hiddenStates: f32(inputShape, Array.from({ length: count }, (_, i) => Math.sin(i))),
      temb: await expert.embedTimesteps([981]),
      encoderHiddenStates: f32([1, texts[0]!.maxLength, crossAttentionDim]),
    });
    const sum = hiddenStates.data.reduce((total, value) => total + value, 0);
    assert.equal(mean, sum / hiddenStates.data.length);
    await expert.close();
  },
});
