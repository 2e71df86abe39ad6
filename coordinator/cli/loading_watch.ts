/**
 * A sign of life while workers load: each is asked every second how far its weights are, and whoever waits is told.
 *
 * @module
 */

import type { LoadProgress } from "../../shared/engine/block_expert.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import { readWorkerStatus } from "../cluster/worker_status.ts";

const INTERVAL_MS = 1000;

/** An expert's worker. */
export interface LoadingMember {
  readonly name: string;
  /** HOST:PORT; absent for an expert of this process. */
  readonly address?: string;
}

/** Who loads, and how far it is. */
export interface MemberLoading {
  readonly name: string;
  readonly loading: LoadProgress;
}

/**
 * Asks until it is disposed or told that loading is over; then only the time passes.
 *
 * @param tell called every second, with nothing where no worker loads
 */
export function watchLoading(
  members: readonly LoadingMember[],
  tell: (loading: string | undefined) => void,
): Disposable & { over(): void } {
  const stop = new AbortController();
  let isAsking = false, isOver = false;
  const timer = setInterval(async () => {
    if (isOver) return tell(undefined);
    // One that does not answer in time has said nothing yet: the clock goes on.
    if (isAsking) return tell(undefined);
    isAsking = true;
    const answers = await Promise.all(members.map((member) => askOne(member, stop.signal)));
    isAsking = false;
    if (stop.signal.aborted) return;
    const loading = answers.filter((answer) => answer !== undefined);
    tell(isOver || loading.length === 0 ? undefined : loadingText(loading));
  }, INTERVAL_MS);
  return {
    over: () => void (isOver = true),
    [Symbol.dispose]() {
      clearInterval(timer);
      stop.abort();
    },
  };
}

/** `loading photo: block 7 of 25, 1.2 GB; anime: block 3 of 25, 0.1 GB` */
export function loadingText(members: readonly MemberLoading[]): string {
  const texts = members.map(({ name, loading: { blocks, allBlocks, bytes } }) => {
    const current = Math.min(blocks + 1, allBlocks);
    return `${name}: block ${current} of ${allBlocks}, ${formatBytes(bytes)}`;
  });
  return `loading ${texts.join("; ")}`;
}

/** Nothing of a worker that cannot be asked: what is wrong with it shows where it is needed. */
async function askOne(
  { name, address }: LoadingMember,
  signal: AbortSignal,
): Promise<MemberLoading | undefined> {
  if (address === undefined) return undefined;
  const status = await readWorkerStatus(address, signal).catch(() => undefined);
  return status?.loading && { name, loading: status.loading };
}
