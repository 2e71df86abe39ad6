/** One expert of the ensemble: on its own, inside the ensemble's pipeline, or the next one in every step. @module */

import { aggregationPlan } from "../aggregation_plan.ts";
import { OneHotAggregator } from "../one_hot_aggregator.ts";
import type { MethodDefinition } from "./definition.ts";
import { featureMethod } from "./feature_method.ts";

export const ONLY: MethodDefinition = {
  name: "only",
  aliases: ["single"],
  summary: "a single expert of the ensemble; the others are not asked: only:NAME",
  example: ([first]) => first!,
  build(options, { experts, blocks }) {
    const index = options.only();
    const plan = { experts: [index], segments: aggregationPlan(blocks, "noise") };
    return {
      name: `only:${experts[index]}`,
      conditions: { method: `only ${index}` },
      asked: [index],
      plan: () => plan,
    };
  },
};

/** The control of the paper's independent re-run: what the pipeline around the experts does to a picture, without any mixing. */
export const ONE_HOT: MethodDefinition = {
  name: "one-hot",
  aliases: ["onehot"],
  summary: "one expert's features inside the ensemble's pipeline, as a control: one-hot:NAME",
  takesBlocks: true,
  example: ([first]) => first!,
  build(options, { experts, blocks, aggregated }) {
    const index = options.only();
    return featureMethod({
      name: `one-hot:${experts[index]}`,
      aggregator: new OneHotAggregator(() => index),
      experts: experts.length,
      blocks,
      aggregated,
      conditions: { method: `one-hot ${index}` },
    });
  },
};

export const INTERLEAVE: MethodDefinition = {
  name: "interleave",
  aliases: ["alternate"],
  summary: "the experts in turns, each one step",
  build(_, { experts, blocks }) {
    const segments = aggregationPlan(blocks, "noise");
    return {
      name: "interleave",
      conditions: { method: "interleave" },
      plan: ({ stepIndex }) => ({ experts: [stepIndex % experts.length], segments }),
    };
  },
};
