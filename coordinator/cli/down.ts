/** `tutti down`: stops workers that `tutti up` started. @module */

import { Command } from "commander";
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
    .argument("[ensemble]", "ensemble file (default: all)")
    .option("--json", "print one JSON object per worker", false)
    .addHelpText("after", EXAMPLES)
    .action((ensemble: string | undefined, flags: { json: boolean }) => runDown(ensemble, flags));
}

async function runDown(path: string | undefined, { json }: { json: boolean }): Promise<void> {
  const records = await listRecords();
  const only = path === undefined ? undefined : (await loadEnsembleFile(path)).name;
  const chosen = records.filter(({ ensemble }) => only === undefined || ensemble === only);
  await Promise.all(chosen.map(stopDetachedWorker));
  if (json) chosen.forEach(printJson);
  else if (chosen.length === 0) printLine("No workers were running");
  else {for (const { name, address, pid } of chosen) {
      printLine(`Stopped ${name} at ${address} (pid ${pid})`);
    }}
}
