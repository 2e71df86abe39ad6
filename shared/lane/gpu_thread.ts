/**
 * The one thread on which this process talks to its graphics adapter. ONNX Runtime's WebGPU provider has one device a
 * process, and two threads that use it at once crash or read each other's results: so all lanes on WebGPU
 * are one thread, and it ends only when nothing runs on it.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import { LaneThread } from "./lane_thread.ts";

interface SharedThread {
  readonly thread: LaneThread;
  readonly ended: PromiseWithResolvers<void>;
  users: number;
}

let shared: SharedThread | undefined;

/** The thread, for one more lane. */
export function acquireGpuThread(): LaneThread {
  if (!shared || shared.thread.hasEnded) {
    shared = { thread: new LaneThread(), ended: Promise.withResolvers(), users: 0 };
  }
  shared.users++;
  return shared.thread;
}

/**
 * To be called once by each lane that acquired the thread, after its last request; the last lane ends it.
 *
 * @returns settles when the lane has left nothing behind: for the last one, when the thread has ended
 */
export async function releaseGpuThread(thread: LaneThread): Promise<void> {
  // A thread that broke has been replaced; it needs no end.
  if (shared?.thread !== thread) return;
  const { ended } = shared;
  shared.users--;
  if (shared.users > 0) return;
  thread.whenIdle(() => {
    // Another lane may have come meanwhile.
    if (shared?.thread !== thread || shared.users > 0) return;
    shared = undefined;
    thread.terminate(new TuttiError("UNAVAILABLE", "The compute lane is closed"));
    ended.resolve();
  });
  await ended.promise;
}
