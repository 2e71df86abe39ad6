/** Where NATS is and who logs in there, from the command line's flags. Loads no client: most commands do without. @module */

import { readFile } from "node:fs/promises";
import type { TlsOptions } from "nats";
import { UsageError } from "../errors.ts";
import type { NatsFlags } from "./nats_flags.ts";
import { parseServerList, type ServerList } from "./server_list.ts";

export interface NatsOptions {
  readonly list: ServerList;
  /** Content of a `.creds` file: instead of the URL's login. */
  readonly creds?: Uint8Array;
  /** For a server with TLS: files of the authority, and of the client's certificate and key. */
  readonly tls?: TlsOptions;
  /** Who connects, for the server's monitoring. */
  readonly name: string;
  readonly signal?: AbortSignal;
}

/**
 * Reads the flags and the credentials file.
 *
 * @throws {UsageError} if the URL is wrong or the file cannot be read
 */
export async function natsOptions(
  { nats, natsCreds }: NatsFlags,
  name: string,
): Promise<NatsOptions | undefined> {
  // An empty TUTTI_NATS switches it off.
  if (nats === undefined || nats === "") return undefined;
  const list = parseServerList(nats);
  if (natsCreds === undefined || natsCreds === "") return { list, name };
  const creds = await readFile(natsCreds).catch((cause) => {
    throw new UsageError(`--nats-creds must be a file: "${natsCreds}" cannot be read`, { cause });
  });
  return { list, name, creds };
}
