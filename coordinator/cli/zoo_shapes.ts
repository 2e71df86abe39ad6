/** `tutti zoo shapes`: pictures of coloured shapes with captions, to train and measure with. @module */

import { Command, Option } from "commander";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { type Shape, SHAPE_NAMES } from "../zoo/shapes.ts";
import { writeScenes } from "../zoo/write_scenes.ts";
import { listOf, seed, share, wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";

interface ShapesFlags {
  readonly count: number;
  readonly seed: bigint;
  readonly size: number;
  readonly shapes?: readonly Shape[];
  readonly pairs: number;
  readonly textured: number;
  readonly json: boolean;
}

const EXAMPLES = `
Examples:
  tutti zoo shapes pictures --count 500
  tutti zoo shapes held-out --count 50 --seed 1 --shapes circle,ring,heart --pairs 1`;

export function shapesCommand(): Command {
  return new Command("shapes")
    .summary("draw captioned pictures of coloured shapes")
    .description(
      "Draws pictures of the bundled experts' world with captions.jsonl that says what they show: data for `tutti train`.",
    )
    .argument("<folder>", "where pictures are written; made if it does not exist")
    .option("--count <n>", "pictures", wholeNumber("--count"), 100)
    .addOption(
      // Told as text: help cannot print a bigint by itself.
      new Option("--seed <n>", "seed of the pictures").argParser(seed("--seed")).default(0n, "0"),
    )
    .option("--size <pixels>", "height and width", wholeNumber("--size"), 64)
    .option(
      "--shapes <names>",
      `some of ${SHAPE_NAMES.join(",")} (default: all)`,
      listOf("--shapes", SHAPE_NAMES),
    )
    .option("--pairs <p>", "share of pictures with two shapes", share("--pairs"), 0.6)
    .option("--textured <p>", "share of striped or checkered backgrounds", share("--textured"), 0)
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((folder: string, flags: ShapesFlags) => runShapes(folder, flags));
}

async function runShapes(folder: string, flags: ShapesFlags): Promise<void> {
  using interrupt = onInterrupt();
  const { count, seed, size, shapes, pairs, textured, json } = flags;
  const captions = await writeScenes(folder, {
    ...{ count, seed, size, pairs, textured, signal: interrupt.signal },
    ...(shapes && { shapes }),
  });
  if (json) printJson({ count, seed, size, captions });
  else printLine(`${count} pictures: ${captions}`);
}
