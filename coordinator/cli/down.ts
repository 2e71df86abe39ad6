/** `tutti down`: stops workers that `tutti up` started. @module */

import { Command } from "commander";
import { exists } from "../../shared/checkpoint/exists.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { loadEnsembleFile } from "../cluster/ensemble_file.ts";
import { stopDetachedWorker } from "../cluster/detached_worker.ts";
import { listRecords } from "../cluster/worker_records.ts";

const EXAMPLES = `
Workers let the images that run finish, for 25 seconds at most, then end.

Examples:
  tutti down castles.toml
  tutti down               # every worker that \`up\` started`;

export function downCommand(): Command {
  return new Command("down")
    .summary("stop workers that `up` started")
    .description(
      "Stops the workers of one ensemble, or all that `tutti up` started on this machine.",
    )
    .argument("[ensemble]", "ensemble file, or the ensemble's name (default: all)")
    .option("--json", "print one JSON object per worker", false)
    .addHelpText("after", EXAMPLES)
    .action((ensemble: string | undefined, flags: { json: boolean }) => runDown(ensemble, flags));
}

async function runDown(path: string | undefined, { json }: { json: boolean }): Promise<void> {
  const records = await listRecords();
  // Messages about running workers know the name alone.
  const isName = records.some(({ ensemble }) => ensemble === path) && !await exists(path!);
  const only = path === undefined || isName ? path : (await loadEnsembleFile(path)).name;
  const chosen = records.filter(({ ensemble }) => only === undefined || ensemble === only);
  await Promise.all(chosen.map(stopDetachedWorker));
  if (json) chosen.forEach(printJson);
  else if (chosen.length === 0) printLine("No workers were running");
  else {for (const { name, address, pid } of chosen) {
      printLine(`Stopped ${name} at ${address} (pid ${pid})`);
    }}
}
