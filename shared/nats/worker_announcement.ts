/**
 * What a worker says of itself over NATS, as JSON under its id in the bucket `tutti_workers`. It lives for a lease and is
 * said again well before that ends: a worker that says nothing more is gone. Readers take nothing on trust, for whoever may
 * write to the bucket may write anything.
 *
 * @module
 */

import type { ExpertDescription } from "../engine/expert.ts";
import { TuttiError } from "../errors.ts";
import { BLOCK_ID } from "../models/blocks.ts";
import { FAMILY_IDS } from "../models/families.ts";
import { show } from "../show.ts";
import { parseAddress } from "../wire/address.ts";
import {
  fingerprintFromFields,
  type Versions,
  versionsFromFields,
} from "../wire/convert_description.ts";
import { Fields, type Message } from "../wire/fields.ts";
import { isPlaneKind, type PlaneKind } from "../wire/plane/plane_kind.ts";

/** A JetStream key-value bucket. */
export const WORKERS_BUCKET = "tutti_workers";
/** How long an announcement is true, ms: the bucket's TTL, and what readers reckon with where the server forgets it. */
export const LEASE_MS = 5_000;
/** Time between announcements, ms: two may be lost and the lease still holds. */
export const REFRESH_MS = 1_500;
/** Ours have about 1 kB. */
export const MAX_ANNOUNCEMENT_BYTES = 16 * 1024;

export interface WorkerAnnouncement {
  /** Stays the same when the worker is started again; the key. */
  readonly id: string;
  /** Of this start: two that differ under one id are two workers, or one that was started again. */
  readonly boot: string;
  /** Counts up: one that is read again is no news. */
  readonly count: number;
  /** HOST:PORT at which coordinators reach it. */
  readonly address: string;
  readonly name: string;
  readonly modelHash: string;
  readonly family: ExpertDescription["family"];
  /** Ids of the blocks that it serves. */
  readonly blocks: readonly string[];
  /** That it offers besides gRPC. */
  readonly planes: readonly PlaneKind[];
  readonly versions: Versions;
  readonly fingerprint: ExpertDescription["fingerprint"];
  readonly lanes: number;
  readonly busyLanes: number;
  readonly queueDepth: number;
  readonly sessions: number;
  readonly maxSessions: number;
  readonly arenaBytesLeft: number;
  /** It finishes what it has and takes nothing new. */
  readonly draining: boolean;
}

/** What may be a key of the bucket, and an id of ours. */
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const BOOT = /^[A-Za-z0-9_-]{1,64}$/;
const HASH = /^[0-9a-f]{64}$/;
/** Names are printed: no line feeds, no escape sequences, no screens full. */
const NAME = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,200}$/u;
const MAX_BLOCKS = 256;
const MAX_PLANES = 8;

/** @throws {TuttiError} RESOURCE_EXHAUSTED if it is longer than readers take */
export function encodeAnnouncement(announcement: WorkerAnnouncement): Uint8Array {
  const { versions: { protocol, ...versions }, fingerprint, ...rest } = announcement;
  const flat = { protocolMin: protocol.min, protocolMax: protocol.max, ...versions };
  const message = {
    ...renamed(rest, snakeCase),
    versions: renamed(flat, snakeCase),
    fingerprint: renamed(fingerprint, snakeCase),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(message));
  if (bytes.length <= MAX_ANNOUNCEMENT_BYTES) return bytes;
  throw new TuttiError(
    "RESOURCE_EXHAUSTED",
    `Announcement of worker "${announcement.name}" must have at most ${MAX_ANNOUNCEMENT_BYTES} bytes: ` +
      `current value is ${bytes.length}`,
  );
}

/**
 * @param key under which it was found
 * @throws {TuttiError} INVALID_ARGUMENT naming the key, and the field that is wrong
 */
export function decodeAnnouncement(key: string, bytes: Uint8Array): WorkerAnnouncement {
  try {
    return fromFields(key, new Fields(parse(bytes), "WorkerAnnouncement"));
  } catch (error) {
    if (!(error instanceof TuttiError)) throw error;
    const { message, details } = error;
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `Entry ${show(key)} of ${WORKERS_BUCKET}: ${message}`,
      {
        cause: error,
        details: { ...details, key: key.slice(0, 200) },
      },
    );
  }
}

function parse(bytes: Uint8Array): Message {
  if (bytes.length > MAX_ANNOUNCEMENT_BYTES) {
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `WorkerAnnouncement must have at most ${MAX_ANNOUNCEMENT_BYTES} bytes: current value is ${bytes.length}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TuttiError("INVALID_ARGUMENT", "WorkerAnnouncement must be JSON in UTF-8", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `WorkerAnnouncement must be a JSON object: current value is ${show(value)}`,
    );
  }
  return renamed(value, camelCase);
}

function fromFields(key: string, fields: Fields): WorkerAnnouncement {
  const matching = (field: string, pattern: RegExp, expected: string) => {
    const value = fields.text(field);
    return pattern.test(value) ? value : fields.fail(field, expected);
  };
  const inner = (field: string) => {
    const value = fields.get(field);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (!isObject) fields.fail(field, "an object");
    return new Fields(renamed(value as Message, camelCase), fields.path(field));
  };
  const id = matching("id", ID, 'up to 64 letters, digits, "_" and "-"');
  if (id !== key) fields.fail("id", `the key, ${show(key)}`);
  return {
    id,
    boot: matching("boot", BOOT, 'up to 64 letters, digits, "_" and "-"'),
    count: fields.whole("count", 0),
    address: addressFrom(fields),
    name: matching("name", NAME, "printable text of at most 200 characters"),
    modelHash: matching("modelHash", HASH, "64 hexadecimal digits"),
    family: fields.oneOf("family", FAMILY_IDS),
    blocks: fields.list("blocks", MAX_BLOCKS).map((block) =>
      typeof block === "string" && BLOCK_ID.test(block)
        ? block
        : fields.fail("blocks", "a list of block ids", block)
    ),
    // A newer worker may offer what this build does not know.
    planes: fields.list("planes", MAX_PLANES).filter(isPlaneKind),
    versions: versionsFromFields(inner("versions")),
    fingerprint: fingerprintFromFields(inner("fingerprint")),
    lanes: fields.whole("lanes", 0),
    busyLanes: fields.whole("busyLanes", 0),
    queueDepth: fields.whole("queueDepth", 0),
    sessions: fields.whole("sessions", 0),
    maxSessions: fields.whole("maxSessions", 0),
    arenaBytesLeft: fields.whole("arenaBytesLeft", 0),
    draining: fields.flag("draining"),
  };
}

function addressFrom(fields: Fields): string {
  const address = fields.text("address");
  try {
    parseAddress(address);
  } catch {
    fields.fail("address", "HOST:PORT");
  }
  return address;
}

/** The object with other names for its keys. */
function renamed(value: object, rename: (key: string) => string): Message {
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [rename(key), field]));
}

/** As Tutti's messages are written outside of TypeScript. */
function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
