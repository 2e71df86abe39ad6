/**
 * What is in a key-value bucket, read by plain requests: a list of its keys, then the keys' values. The library reads a
 * bucket through a consumer that the server must forget again, and servers have been left with hundreds of those after
 * reconnects (openobserve#13676, nats.deno#688, #691); what asks for none leaves none.
 *
 * @module
 */

import type { JetStreamManager, StoredMsg } from "nats";
import { isNotFound } from "../../shared/nats/nats_errors.ts";

export interface BucketEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

/** More than workers of one cluster; what comes after them is not read. */
const MAX_KEYS = 4096;
/** Requests at a time. */
const BATCH = 32;

/** Also of those that were deleted a moment ago; none of a bucket that does not exist. */
export async function listKeys(jetStream: JetStreamManager, bucket: string): Promise<string[]> {
  try {
    const { state } = await jetStream.streams.info(`KV_${bucket}`, {
      subjects_filter: bucketSubject(bucket),
    });
    const subjects = Object.keys(state.subjects ?? {}).slice(0, MAX_KEYS);
    return subjects.map((subject) => keyOf(bucket, subject));
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** The values of these keys; without those that were deleted or have expired. */
export async function readEntries(
  jetStream: JetStreamManager,
  bucket: string,
  keys: readonly string[],
): Promise<BucketEntry[]> {
  const entries: BucketEntry[] = [];
  for (let start = 0; start < keys.length; start += BATCH) {
    const batch = keys.slice(start, start + BATCH);
    const messages = await Promise.all(batch.map((key) => lastMessage(jetStream, bucket, key)));
    for (const [index, message] of messages.entries()) {
      if (!message || isDeletion(message)) continue;
      entries.push({ key: batch[index]!, value: message.data });
    }
  }
  return entries;
}

/** The subject that all changes of a bucket are published on. */
export function bucketSubject(bucket: string, key = ">"): string {
  return `$KV.${bucket}.${key}`;
}

export function keyOf(bucket: string, subject: string): string {
  return subject.slice(bucketSubject(bucket, "").length);
}

/** Whether a message of a bucket says that its key is gone. */
export function isDeletion(
  message: { readonly header?: StoredMsg["header"] | undefined },
): boolean {
  const operation = message.header?.get("KV-Operation");
  return operation === "DEL" || operation === "PURGE";
}

/** `undefined` if it has expired since it was listed. */
async function lastMessage(
  jetStream: JetStreamManager,
  bucket: string,
  key: string,
): Promise<StoredMsg | undefined> {
  try {
    return await jetStream.streams.getMessage(`KV_${bucket}`, {
      last_by_subj: bucketSubject(bucket, key),
    });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
