import assert from "node:assert/strict";
import fc from "fast-check";
import { TuttiError } from "../../../shared/errors.ts";
import {
  decodeAnnouncement,
  encodeAnnouncement,
  MAX_ANNOUNCEMENT_BYTES,
} from "../../../shared/nats/worker_announcement.ts";
import { announcement } from "./announcements.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Decodes, or gives the error, which must be one of ours that names the key. */
function refusal(bytes: Uint8Array, key = "w1"): string {
  try {
    decodeAnnouncement(key, bytes);
    return "";
  } catch (error) {
    assert.ok(error instanceof TuttiError, Deno.inspect(error));
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.match(error.message, /^Entry ".*" of tutti_workers: WorkerAnnouncement/s);
    assert.doesNotMatch(error.message, /\n/);
    assert.ok(error.message.length < 1500, error.message);
    return error.message;
  }
}

Deno.test("decodeAnnouncement() is the reverse of encodeAnnouncement()", () => {
  const sent = announcement({ draining: true, count: 7, name: "Ünïcode photo" });
  const bytes = encodeAnnouncement(sent);
  assert.deepEqual(decodeAnnouncement("w1", bytes), sent);
  const json = JSON.parse(new TextDecoder().decode(bytes));
  assert.equal(json.model_hash, sent.modelHash);
  assert.equal(json.fingerprint.graph_hash, sent.fingerprint.graphHash);
});

Deno.test("encodeAnnouncement() refuses what readers would", () => {
  const blocks = new Array(5000).fill("IN00");
  assert.throws(
    () => encodeAnnouncement(announcement({ blocks })),
    /must have at most 16384 bytes/,
  );
});

Deno.test("decodeAnnouncement() names the field that is wrong", () => {
  const good = JSON.parse(new TextDecoder().decode(encodeAnnouncement(announcement())));
  const wrong: readonly [field: string, value: unknown][] = [
    ["id", "w2"],
    ["id", "../w1"],
    ["boot", 5],
    ["count", -1],
    ["count", 1.5],
    ["address", "nowhere"],
    ["address", "10.0.0.5:7070; rm"],
    ["name", "red \u001b[31m"],
    ["name", "two\nlines"],
    ["name", "x".repeat(201)],
    ["name", ""],
    ["model_hash", "AB".repeat(32)],
    ["family", "sd3"],
    ["family", { toString: 1 }],
    ["blocks", "IN00"],
    ["blocks", ["IN00", { a: 1 }]],
    ["blocks", ["IN00", "MID00"]],
    ["blocks", new Array(257).fill("IN00")],
    ["planes", { length: 3 }],
    ["versions", [1]],
    ["versions", null],
    ["versions.protocol_min", "2"],
    ["fingerprint.threads", NaN],
    ["fingerprint.isa", ["x"]],
    ["lanes", 2 ** 60],
    ["draining", "yes"],
  ];
  for (const [field, value] of wrong) {
    const changed = structuredClone(good);
    const [outer, inner] = field.split(".");
    if (inner) changed[outer!][inner] = value;
    else changed[outer!] = value;
    const message = refusal(encode(JSON.stringify(changed)));
    assert.ok(message.includes(`WorkerAnnouncement.${field}`), `${field}: ${message}`);
  }
});

Deno.test("decodeAnnouncement() takes what a newer worker may add", () => {
  const good = JSON.parse(new TextDecoder().decode(encodeAnnouncement(announcement())));
  const newer = { ...good, planes: ["shm", "rdma"], power_watts: 300 };
  assert.deepEqual(decodeAnnouncement("w1", encode(JSON.stringify(newer))).planes, ["shm"]);
});

Deno.test("decodeAnnouncement() skips any bytes with an error of its own", () => {
  assert.match(refusal(new Uint8Array(MAX_ANNOUNCEMENT_BYTES + 1)), /at most 16384 bytes/);
  const hostile = [
    "",
    "null",
    "[]",
    '"text"',
    "[".repeat(16_000),
    `${"[".repeat(8_000)}${"]".repeat(8_000)}`,
    `{"versions":${'{"a":'.repeat(2_000)}1${"}".repeat(2_000)}}`,
    '{"__proto__":{"id":"w1"}}',
    '{"id":{"toString":null}}',
  ];
  for (const text of hostile) assert.notEqual(refusal(encode(text)), "", text.slice(0, 50));

  const text = new TextDecoder().decode(encodeAnnouncement(announcement()));
  const mutated = fc.tuple(
    fc.nat(text.length),
    fc.nat(40),
    fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.json(),
      fc.constantFrom('"', "}", "\\u0000", "1e999"),
    ),
  ).map(([start, length, part]) =>
    encode(text.slice(0, start) + part + text.slice(start + length))
  );
  const bytes = fc.oneof(
    { weight: 4, arbitrary: mutated },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 1, arbitrary: fc.json().map(encode) },
  );
  let skipped = 0;
  const key = fc.oneof({ weight: 9, arbitrary: fc.constant("w1") }, fc.string({ maxLength: 300 }));
  fc.assert(
    fc.property(key, bytes, (key, payload) => {
      skipped += refusal(payload, key) === "" ? 0 : 1;
    }),
    { numRuns: 5_000 },
  );
  assert.ok(skipped > 2_500, `${skipped} of 5000 were skipped: the mutations are too tame`);
});
