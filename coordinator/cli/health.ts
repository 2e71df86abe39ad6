/** `tutti health`: a probe for scripts, containers and service managers. @module */

import { Command } from "commander";
import { WorkerError } from "../../shared/errors.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatAddress, parseAddress } from "../../shared/wire/address.ts";
import { checkHealth } from "../cluster/worker_status.ts";

const EXAMPLES = `
Exit code 0 if the worker serves, 3 if it does not or cannot be reached.

Examples:
  tutti health 127.0.0.1:7070
  until tutti health gpu-1:7070; do sleep 1; done`;

export function healthCommand(): Command {
  return new Command("health")
    .summary("ask one worker whether it is healthy; the exit code tells")
    .description("Asks the standard gRPC health service, so it works with any gRPC server.")
    .argument("<address>", "HOST:PORT")
    .option("--json", "print one JSON object", false)
    .addHelpText("after", EXAMPLES)
    .action((text: string, flags: { json: boolean }) => runHealth(text, flags));
}

async function runHealth(text: string, { json }: { json: boolean }): Promise<void> {
  const address = formatAddress(parseAddress(text));
  const status = await checkHealth(address);
  if (json) printJson({ address, status });
  else printLine(`${address} ${status}`);
  if (status !== "SERVING") {
    throw new WorkerError(
      "UNAVAILABLE",
      `Worker ${address} must be SERVING: current state is ${status}`,
      {
        details: { worker: address },
      },
    );
  }
}
