/**
 * `run_attacks.ts GRPC_ADDRESS HTTP_ADDRESS`: plays all attacks at once until it is told to stop (SIGTERM), then prints how
 * many rounds each had.
 *
 * @module
 */

import { printJson } from "../../../shared/terminal/stdout.ts";
import { parseAddress } from "../../../shared/wire/address.ts";
import { closeConn } from "../../../shared/wire/plane/conn_io.ts";
import { type Attack, ATTACKS } from "./attacks.ts";

/** Between two rounds of one connection, ms: this machine has other things to do, too. */
const PAUSE_MS = 100;

const [grpc, http] = Deno.args as [string, string];
const rounds = new Map<string, number>();
for (const attack of ATTACKS) {
  const address = parseAddress(attack.port === "grpc" ? grpc : http);
  for (let i = 0; i < attack.connections; i++) void repeat(attack, address);
}
Deno.addSignalListener("SIGTERM", () => {
  printJson(Object.fromEntries(rounds));
  Deno.exit();
});

async function repeat(attack: Attack, address: ReturnType<typeof parseAddress>): Promise<void> {
  for (;;) {
    await round(attack, address).catch(() => {
      // Refused or reset, which is what the worker is there for.
    });
    rounds.set(attack.name, (rounds.get(attack.name) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function round(
  { bytes, staysMs }: Attack,
  { host: hostname, port }: ReturnType<typeof parseAddress>,
): Promise<void> {
  const conn = await Deno.connect({ hostname, port });
  const timer = setTimeout(() => closeConn(conn), staysMs);
  try {
    const sent = conn.write(bytes());
    const answer = new Uint8Array(4_096);
    while (await conn.read(answer) !== null);
    await sent;
  } finally {
    clearTimeout(timer);
    closeConn(conn);
  }
}
