import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { checkHealth } from "../../../coordinator/cluster/worker_status.ts";
import { parseAddress } from "../../../shared/wire/address.ts";
import { FLAG, FRAME } from "../../../shared/wire/http2/frame_reader.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { callHeaders, frame, header, PREFACE, references } from "../../support/http2_bytes.ts";
import { serveExpert } from "../../support/serve_expert.ts";

const HEALTH = callHeaders("/grpc.health.v1.Health/Check");
const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));
/** Ends headers and call. */
const ALL = FLAG.END_HEADERS | 1;

/** Sends the bytes and waits until the other end closes. @returns the types of the frames that came */
async function frameTypes(address: string, bytes: Uint8Array): Promise<number[]> {
  const { host: hostname, port } = parseAddress(address);
  using conn = await Deno.connect({ hostname, port });
  await conn.write(bytes).catch(() => {});
  const parts: Uint8Array[] = [];
  try {
    for await (const part of conn.readable) parts.push(part);
  } catch {
    // Reset: what had come until then counts.
  }
  const all = Buffer.concat(parts);
  const types: number[] = [];
  for (let at = 0; at + 9 <= all.length; at += 9 + all.readUIntBE(at, 3)) types.push(all[at + 3]!);
  return types;
}

/** 240 bytes a call that unpack to half a megabyte. */
function bomb(calls: number): Buffer {
  const kept = header("x-long", "x".repeat(3900), true);
  return Buffer.concat([
    ...[Buffer.from(PREFACE), SETTINGS],
    frame(FRAME.HEADERS, ALL, 1, Buffer.concat([HEALTH, kept])),
    ...Array.from(
      { length: calls },
      (_, i) => frame(FRAME.HEADERS, ALL, 2 * i + 3, Buffer.concat([HEALTH, references(130)])),
    ),
  ]);
}

Deno.test("worker: calls whose headers unpack to far more than they need end their connection alone", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const session = await served.remote.openSession(config);
  const { address } = served.worker;
  const before = Deno.memoryUsage().rss;
  const all = await Promise.all(Array.from({ length: 16 }, () => frameTypes(address, bomb(1000))));
  // Unguarded it is several GB, and no byte of them needed a token.
  assert.ok(Deno.memoryUsage().rss - before < 200e6);
  for (const types of all) {
    assert.ok(types.filter((type) => type === FRAME.HEADERS || type === 3).length <= 1, `${types}`);
  }
  const hiddenStates = latentsFor(expert.description, config);
  await session.forward({ stepIndex: 0, first: "IN00", last: "IN00", hiddenStates });
  await session.close();
  assert.equal(await checkHealth(address), "SERVING");
});

Deno.test("worker: one that says goodbye without end is let go", async () => {
  await using served = await serveExpert(new AffineExpert());
  const goodbye = frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8));
  const { address } = served.worker;
  await frameTypes(
    address,
    Buffer.concat([
      Buffer.from(PREFACE),
      SETTINGS,
      ...Array.from({ length: 10_000 }, () => goodbye),
    ]),
  );
  assert.equal(await checkHealth(address), "SERVING");
});
