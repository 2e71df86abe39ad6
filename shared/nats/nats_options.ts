/** Where NATS is and who logs in there, from the command line's flags. Loads no client: most commands do without. @module */

import { readFile } from "node:fs/promises";
import { UsageError } from "../errors.ts";
import { checkPrivate } from "../security/private_file.ts";
import { readTlsFiles, type TlsFiles } from "../security/tls_files.ts";
import { stderrTerminal } from "../terminal/terminal.ts";
import type { NatsFlags } from "./nats_flags.ts";
import { parseServerList, type ServerList } from "./server_list.ts";

export interface NatsOptions {
  readonly list: ServerList;
  /** Content of a `.creds` file: instead of the URL's login. */
  readonly creds?: Uint8Array;
  /** For a server with TLS: its authority, and what the client shows. */
  readonly tls?: TlsFiles;
  /** Who connects, for the server's monitoring. */
  readonly name: string;
  readonly signal?: AbortSignal;
}

const FLAGS = { cert: "--nats-cert", key: "--nats-key", ca: "--nats-ca" };

/**
 * Reads the flags, and the files of credentials and TLS.
 *
 * @throws {UsageError} if the URL is wrong or the credentials cannot be read
 * @throws {FormatError} naming the file of TLS and what is wrong with it
 */
export async function natsOptions(
  { nats, natsCreds, natsCa, natsCert, natsKey }: NatsFlags,
  name: string,
): Promise<NatsOptions | undefined> {
  // An empty TUTTI_NATS switches it off.
  if (!nats) return undefined;
  const list = parseServerList(nats);
  const paths = {
    ...(natsCa && { tlsCa: natsCa }),
    ...(natsCert && { tlsCert: natsCert }),
    ...(natsKey && { tlsKey: natsKey }),
  };
  const tls = await readTlsFiles(paths, warn, FLAGS);
  const creds = natsCreds ? await readCreds(natsCreds) : undefined;
  return { list, name, ...(tls && { tls }), ...(creds && { creds }) };
}

async function readCreds(path: string): Promise<Uint8Array> {
  await checkPrivate(path, warn).catch(() => {});
  return await readFile(path).catch((cause) => {
    throw new UsageError(`--nats-creds must be a file: "${path}" cannot be read`, { cause });
  });
}

function warn(text: string): void {
  stderrTerminal().write(`warning: ${text}\n`);
}
