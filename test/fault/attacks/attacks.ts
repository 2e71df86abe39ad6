/** What strangers without a token may do to a worker's ports, a round each. @module */

import { Buffer } from "node:buffer";
import { FLAG, FRAME } from "../../../shared/wire/http2/frame_reader.ts";
import { callHeaders, frame, header, PREFACE, references } from "../../support/http2_bytes.ts";

export interface Attack {
  readonly name: string;
  readonly port: "grpc" | "http";
  /** Connections at a time. */
  readonly connections: number;
  /** Sent at once; then the connection stays until the worker ends it, or for `staysMs`. */
  bytes(): Uint8Array;
  readonly staysMs: number;
}

/** Until the worker has had enough. */
const LONG_MS = 30_000;
const FLOOD_MS = 500;

const HEALTH = callHeaders("/grpc.health.v1.Health/Check");
const WATCH = callHeaders("/grpc.health.v1.Health/Watch");
const SESSION = callHeaders("/tutti.v1.Worker/Session");
const END_STREAM = 1;
const OPENING = Buffer.concat([Buffer.from(PREFACE), frame(4, 0, 0, Buffer.alloc(0))]);
/** The beginning of a TLS ClientHello, which says that more comes. */
const HELLO = Buffer.from("16030102000100 01fc0303".replaceAll(" ", ""), "hex");

function times(count: number, part: (i: number) => Uint8Array): Buffer {
  return Buffer.concat([OPENING, ...Array.from({ length: count }, (_, i) => part(i))]);
}

function call(i: number, headers: Uint8Array, flags = FLAG.END_HEADERS | END_STREAM): Buffer {
  return frame(FRAME.HEADERS, flags, 2 * i + 1, headers);
}

function random(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

export const ATTACKS: readonly Attack[] = [
  silent("says nothing", Buffer.alloc(0)),
  silent("says the preface only", Buffer.from(PREFACE)),
  silent("begins a TLS handshake", HELLO),
  flood("headers that unpack to half a megabyte", () =>
    times(1000, (i) =>
      call(
        i,
        Buffer.concat([
          HEALTH,
          i === 0 ? header("x-long", "x".repeat(3900), true) : references(130),
        ]),
      ))),
  flood("health without end", () => times(500, (i) => call(i, HEALTH))),
  flood("watches of health that stay", () => times(100, (i) => call(i, WATCH))),
  flood("sessions without a token", () => times(100, (i) => call(i, SESSION, FLAG.END_HEADERS))),
  flood("calls that are reset at once", () =>
    times(500, (i) =>
      Buffer.concat([
        call(i, HEALTH, FLAG.END_HEADERS),
        frame(3, 0, 2 * i + 1, Buffer.of(0, 0, 0, 8)),
      ]))),
  flood("goodbyes", () => times(10_000, () => frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8)))),
  flood("pings", () => times(5_000, () => frame(6, 0, 0, Buffer.alloc(8)))),
  flood("settings", () => times(5_000, () => frame(4, 0, 0, Buffer.alloc(0)))),
  flood(
    "headers in frames without end",
    () =>
      times(
        5_000,
        (i) =>
          i === 0
            ? frame(FRAME.HEADERS, 0, 1, HEALTH)
            : frame(FRAME.CONTINUATION, 0, 1, Buffer.alloc(0)),
      ),
  ),
  flood(
    "random frames",
    () => times(200, (i) => frame(i % 12, random(1)[0]!, i, random(random(1)[0]!))),
  ),
  flood("random bytes", () => random(4_096)),
  { ...silent("page: says nothing", Buffer.alloc(0)), port: "http" },
  {
    ...silent("page: a request that never ends", Buffer.from("GET /live HTTP/1.1\r\n")),
    port: "http",
  },
  {
    ...flood(
      "page: requests without end",
      () => Buffer.from("GET /status HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200)),
    ),
    port: "http",
  },
];

/** Many of them, which take places. */
function silent(name: string, bytes: Uint8Array): Attack {
  return { name, port: "grpc", connections: 150, bytes: () => bytes, staysMs: LONG_MS };
}

/** Few of them, which take time. */
function flood(name: string, bytes: () => Uint8Array): Attack {
  return { name, port: "grpc", connections: 2, bytes, staysMs: FLOOD_MS };
}
