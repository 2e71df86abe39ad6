/**
 * The library reads a message's headers where it reads from the socket, and throws at a line that is no header: anybody
 * who may publish could stop all that a connection reads. Such lines are left out instead.
 *
 * @module
 */

import { MsgHdrsImpl } from "nats/lib/nats-base-client/internal_mod.js";

type Headers = ReturnType<typeof MsgHdrsImpl.decode>;

const decode = MsgHdrsImpl.decode;

/** Repeating it does no harm. */
export function leaveOutUnreadableHeaders(): void {
  MsgHdrsImpl.decode = decodeReadable;
}

function decodeReadable(bytes: Uint8Array): Headers {
  try {
    return decode(bytes);
  } catch {
    const [status, ...lines] = new TextDecoder().decode(bytes).split("\r\n");
    const of = (kept: readonly string[]) =>
      decode(new TextEncoder().encode([status, ...kept, "", ""].join("\r\n")));
    const isReadable = (line: string) => {
      try {
        of([line]);
        return true;
      } catch {
        return false;
      }
    };
    return of(lines.filter((line) => line !== "" && isReadable(line)));
  }
}
