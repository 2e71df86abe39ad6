/**
 * What an event means for one image, as far as the scenario leaves that to the lot: when it strikes, whom, and how.
 *
 * @module
 */

import type { Mt19937 } from "../../../shared/tensor/mt19937.ts";
import { ZOO_EXPERTS } from "../../support/zoo.ts";
import type { Strike } from "./image_run.ts";
import type { Action, ScenarioEvent } from "./scenario.ts";

export interface Lots {
  readonly random: Mt19937;
  readonly blocks: readonly string[];
  readonly steps: number;
  /** Numbers of the blocks that come next. */
  readonly inOrder: Iterator<number, never>;
  /** Experts take turns: who was struck a moment ago has no spare yet. */
  readonly experts: Iterator<number, never>;
}

export function openLots(random: Mt19937, blocks: readonly string[], steps: number): Lots {
  const [inOrder, experts] = [countUp(blocks.length), countUp(ZOO_EXPERTS.length)];
  return { random, blocks, steps, inOrder, experts };
}

function* countUp(below: number): Generator<number, never> {
  for (let i = 0;; i++) yield i % below;
}

/** @returns nothing if the event is not for this image */
export function drawStrike(
  { at, action: possible }: ScenarioEvent,
  image: number,
  { random, blocks, steps, inOrder, experts }: Lots,
): Strike[] {
  if (at.image !== "each" && at.image !== image) return [];
  const below = (bound: number) => random.random32() % bound;
  const step = at.step ?? 1 + below(steps - 1);
  const struck = at.block === "next"
    ? inOrder.next().value
    : at.block === undefined
    ? below(blocks.length)
    : blocks.indexOf(at.block);
  const actions: readonly Action[] = "kind" in possible ? [possible] : possible;
  const action = actions[actions.length === 1 ? 0 : below(actions.length)]!;
  const expert = ZOO_EXPERTS[experts.next().value]!;
  // The first block of a step follows the last one of the step before.
  return struck === 0
    ? [{ step: step - 1, afterBlock: blocks.length - 1, expert, action }]
    : [{ step, afterBlock: struck - 1, expert, action }];
}
