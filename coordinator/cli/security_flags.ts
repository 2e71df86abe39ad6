/** How commands get the credentials with which they call workers: flags, else the ensemble file, else the environment. @module */

import type { Command } from "commander";
import { isDeepStrictEqual } from "node:util";
import { UsageError } from "../../shared/errors.ts";
import { type SecurityFlags, securityOptions } from "../../shared/security/security_flags.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { readCredentials, renewCredentials, useCredentials } from "../cluster/credentials.ts";
import { type EnsembleFile, loadEnsembleFile } from "../cluster/ensemble_file.ts";
import type { SecurityPaths } from "../cluster/ensemble_security.ts";

const TEXTS = {
  cert: "certificate (PEM) to show to workers that ask for one",
  ca: "authority (PEM) of workers' certificates; turns TLS on",
  token: "token to show to workers",
  insecure: "send the token to other hosts without TLS",
};

/** Adds the flags to a command that calls workers, and makes what they name the credentials of this process. */
export function callsWorkers(command: Command): Command {
  securityOptions(TEXTS).forEach((option) => command.addOption(option));
  return command.hook("preAction", async (_, action) => {
    const { ensemble, workers } = action.opts<EnsembleOptions>();
    // Both contradict each other, which the command itself says before it reads either.
    const isRead = ensemble !== undefined && workers === undefined;
    const files = isRead ? await Promise.all([ensemble].flat().map(loadEnsembleFile)) : [];
    const flags = mergeSecurity(action, agreedSecurity(files));
    const terminal = stderrTerminal();
    useCredentials(await readCredentials(flags, (text) => terminal.write(`warning: ${text}\n`)));
    renewCredentials(flags);
  });
}

/** @property ensemble of a command that serves, several */
interface EnsembleOptions {
  readonly ensemble?: string | readonly string[];
  readonly workers?: string;
}

/** A process is one party, whichever ensemble it draws with. @throws {UsageError} if files say otherwise */
function agreedSecurity(files: readonly EnsembleFile[]): SecurityPaths | undefined {
  const [first, ...others] = files.filter(({ security }) => security !== undefined);
  const odd = others.find(({ security }) => !isDeepStrictEqual(security, first!.security));
  if (!odd) return first?.security;
  throw new UsageError(
    `Ensemble files that are served together must have the same [security]: ${
      first!.path
    } and ${odd.path} differ`,
  );
}

/** Flags before the file's paths, and those before the environment. */
export function mergeSecurity(command: Command, paths: SecurityPaths = {}): SecurityFlags {
  const given = command.opts<SecurityFlags>();
  const isTyped = (name: string) => command.getOptionValueSource(name) === "cli";
  const typed = Object.entries(given).filter(([name]) => isTyped(name));
  const { workers: _, ...own } = { workers: undefined, ...paths };
  return { ...given, ...own, ...Object.fromEntries(typed) };
}
