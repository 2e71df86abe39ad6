/** The TCP sockets of a network namespace, as `/proc/PID/net/tcp` tells them (IPv4). @module */

export interface TcpSocket {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly state: "established" | "listen" | "other";
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

const STATES: Readonly<Record<string, TcpSocket["state"]>> = {
  "01": "established",
  "0A": "listen",
};

/** @param pid a process in the namespace */
export async function tcpSockets(pid: number): Promise<TcpSocket[]> {
  return parseSockets(await Deno.readTextFile(`/proc/${pid}/net/tcp`));
}

export function parseSockets(table: string): TcpSocket[] {
  return table.trim().split("\n").slice(1).map((line) => {
    const [, local = "", remote = "", state = ""] = line.trim().split(/\s+/);
    return {
      local: parseAddress(local),
      remote: parseAddress(remote),
      state: STATES[state] ?? "other",
    };
  });
}

/** `0100007F:1B58` -> 127.0.0.1, 7000: the address is in the machine's byte order, which is little-endian wherever we run. */
function parseAddress(text: string): SocketAddress {
  const [address = "", port = ""] = text.split(":");
  const bytes = address.match(/../g)?.map((byte) => parseInt(byte, 16)) ?? [];
  return { address: bytes.reverse().join("."), port: parseInt(port, 16) };
}
