/** Where NATS is and who logs in there, from the command line's flags. Loads no client: most commands do without. @module */

import { stderrTerminal } from "../terminal/terminal.ts";
import { NatsFiles } from "./nats_files.ts";
import type { NatsFlags } from "./nats_flags.ts";
import { parseServerList, type ServerList } from "./server_list.ts";

export interface NatsOptions {
  readonly list: ServerList;
  readonly files: NatsFiles;
  /** Who connects, for the server's monitoring. */
  readonly name: string;
  readonly signal?: AbortSignal;
}

/**
 * Reads the flags, and the files of credentials and TLS.
 *
 * @throws {UsageError} if the URL is wrong or the credentials cannot be read
 * @throws {FormatError} naming the file of TLS and what is wrong with it
 */
export async function natsOptions(
  flags: NatsFlags,
  name: string,
): Promise<NatsOptions | undefined> {
  // An empty TUTTI_NATS switches it off.
  if (!flags.nats) return undefined;
  const list = parseServerList(flags.nats);
  const warn = (text: string) => stderrTerminal().write(`warning: ${text}\n`);
  return { list, name, files: await NatsFiles.read(flags, warn) };
}
