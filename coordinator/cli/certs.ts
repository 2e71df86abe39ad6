/** `tutti certs`: files to try a secure cluster with. @module */

import { Command } from "commander";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { makeCerts } from "../certs/make_certs.ts";
import { wholeNumber } from "./flags.ts";

interface CertsFlags {
  readonly host: readonly string[];
  readonly days: number;
  readonly json: boolean;
}

const EXAMPLES = `
Writes ca.pem and ca.key (the authority), worker.pem and .key, coordinator.pem and .key, tokens (for workers) and one file
per role (client.token, admin.token, metrics.token). Every file can be read by its owner only; none is overwritten.
Whoever has ca.key can make certificates that your cluster believes: keep it, or delete it when you are done.

Examples:
  tutti certs certs
  tutti certs certs --host gpu-1,gpu-2,10.0.0.5 --days 90`;

export function certsCommand(): Command {
  return new Command("certs")
    .summary("make certificates and tokens to try a secure cluster with")
    .description(
      "Makes an authority of its own, certificates for workers and coordinators that it signs, and tokens.",
    )
    .argument("<folder>", "where the files go; made if it is not there")
    .option(
      "--host <names>",
      "names and addresses of worker machines, separated by commas; localhost, 127.0.0.1 and ::1 are in any case",
      (text: string) => text.split(",").map((name) => name.trim()),
      [],
    )
    .option("--days <n>", "days until the certificates expire", wholeNumber("--days"), 365)
    .option("--json", "print one JSON object", false)
    .addHelpText("after", EXAMPLES)
    .action((folder: string, flags: CertsFlags) => runCerts(folder, flags));
}

async function runCerts(folder: string, { host, days, json }: CertsFlags): Promise<void> {
  const { files, expires } = await makeCerts(folder, { hosts: host, days });
  if (json) {
    printJson({ folder, files, expires: expires.toISOString() });
    return;
  }
  printLine(`${files.length} files in ${folder}, good until ${expires.toISOString()}. Use them with

  tutti worker --model MODEL --listen HOST:7070 --tls-cert ${folder}/worker.pem --tls-key ${folder}/worker.key \\
    --tls-ca ${folder}/ca.pem --token-file ${folder}/tokens
  tutti ps --workers HOST:7070 --tls-ca ${folder}/ca.pem --tls-cert ${folder}/coordinator.pem \\
    --tls-key ${folder}/coordinator.key --token-file ${folder}/admin.token`);
}
