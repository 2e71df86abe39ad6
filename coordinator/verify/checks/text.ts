/** Every expert's text encoder: last and penultimate hidden states, pooled. @module */

import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { compare, type Comparison } from "../check.ts";
import type { FamilyContext } from "../context.ts";
import type { CheckSpec } from "../manifest.ts";

export async function checkText(context: FamilyContext, spec: CheckSpec): Promise<Comparison[]> {
  const golden = await context.golden(spec);
  const inputIds = await golden.i64("input_ids");
  const computed = new Map<string, F32Tensor>();
  for (const [index, expert] of (await context.experts()).entries()) {
    const encoding = await expert.encodeText(inputIds);
    const letter = context.letter(index);
    computed.set(`last_hidden_state.${letter}`, encoding.lastHiddenState);
    computed.set(`penultimate.${letter}`, encoding.penultimateHiddenState);
    computed.set(`pooled.${letter}`, encoding.pooled);
  }
  const names = golden.matching(spec.expect ?? ["last_hidden_state.*"]);
  return await Promise.all(
    names.map(async (name) => compare(name, computed.get(name), await golden.f32(name))),
  );
}
