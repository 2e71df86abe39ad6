/** One expert alone: time embedding, every block's output, the noise; through a session, block by block. @module */

import type { AddedCond } from "../../../shared/engine/expert.ts";
import { copyTensor, type F32Tensor, repeatRows } from "../../../shared/tensor/tensor.ts";
import { compare, type Comparison } from "../check.ts";
import type { FamilyContext, Golden } from "../context.ts";
import type { CheckSpec } from "../manifest.ts";

export async function checkUNet(context: FamilyContext, spec: CheckSpec): Promise<Comparison[]> {
  const golden = await context.golden(spec);
  const expert = await context.expert(spec.expert ?? 0);
  const [x, encoderHiddenStates, timesteps] = await Promise.all([
    golden.f32("x"),
    golden.f32("ctx"),
    golden.numbers("timestep"),
  ]);
  const addedCond = await readAddedCond(golden, spec);
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const computed = new Map<string, F32Tensor>();
  const temb = await expert.embedTimesteps(timesteps, undefined, addedCond);
  computed.set("temb", addedCond ? temb : repeatRows(temb, batch));
  const session = await expert.openSession({
    batch,
    height,
    width,
    encoderHiddenStates,
    timesteps,
    ...(addedCond && { addedCond }),
  });
  try {
    let hiddenStates = x;
    for (const { id } of expert.description.blocks) {
      const result = await session.forward({ stepIndex: 0, first: id, last: id, hiddenStates });
      hiddenStates = copyTensor(result.hiddenStates);
      computed.set(`block.${id}`, hiddenStates);
    }
    computed.set("eps", hiddenStates);
  } finally {
    await session.close();
  }
  const names = golden.matching(spec.expect ?? ["eps"]);
  return await Promise.all(
    names.map(async (name) => compare(name, computed.get(name), await golden.f32(name))),
  );
}

/** SDXL's goldens bring pooled text states and sizes. */
async function readAddedCond(
  golden: Golden,
  { inputs = [] }: CheckSpec,
): Promise<AddedCond | undefined> {
  if (!inputs.includes("time_ids")) return undefined;
  const [pooledPromptEmbeds, timeIds] = await Promise.all([
    golden.f32("text_embeds"),
    golden.f32("time_ids"),
  ]);
  return { pooledPromptEmbeds, timeIds };
}
