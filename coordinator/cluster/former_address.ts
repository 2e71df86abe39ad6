/**
 * Where a worker of this machine listened last. Started again it listens there: runs that wait for it and lists that name it
 * find it again.
 *
 * @module
 */

import { join } from "node:path";
import { readRegularText } from "../../shared/regular_file.ts";
import { stateFolder } from "../../shared/state_folder.ts";
import { parseAddress } from "../../shared/wire/address.ts";
import type { WorkerRecord } from "./worker_records.ts";

type WorkerName = Pick<WorkerRecord, "ensemble" | "name">;

const pathOf = ({ ensemble, name }: WorkerName) =>
  join(stateFolder(), "addresses", `${ensemble}-${name}`);

export async function rememberAddress({ address, ...worker }: WorkerRecord): Promise<void> {
  await Deno.mkdir(join(stateFolder(), "addresses"), { recursive: true });
  await Deno.writeTextFile(pathOf(worker), `${address}\n`);
}

/**
 * @param listen HOST:PORT where it is to listen
 * @returns that host with the worker's last port, if it may take any port and that one is free; else `listen`
 */
export async function formerAddress(worker: WorkerName, listen: string): Promise<string> {
  const { host, port } = parseAddress(listen, { anyPort: true });
  if (port !== 0) return listen;
  try {
    const text = (await readRegularText(pathOf(worker))).trim();
    const former = parseAddress(text);
    if (former.host !== host) return listen;
    Deno.listen({ hostname: host, port: former.port }).close();
    return text;
  } catch {
    return listen; // None is known, or somebody else is there now.
  }
}
