/** The flags of commands that ask workers how they are: which ones. @module */

import type { Command } from "commander";
import { addNatsOptions } from "../../shared/nats/nats_flags.ts";

export const PLACES_HELP =
  "Without flags: the workers that this user started on this machine; with --nats, those that announce themselves there, too.";

export const NO_WORKERS =
  "No workers are running. Start some with `tutti up ENSEMBLE` or `tutti worker --model PATH`";

/** Adds the flags that choose workers. */
export function choosesWorkers(command: Command): Command {
  const named = command
    .option("--ensemble <file>", "the workers that have an address in this ensemble file, too")
    .option("--workers <addresses>", "these workers: HOST:PORT,HOST:PORT");
  return addNatsOptions(named, "the workers that announce themselves over NATS, too");
}
