/** Announcements for tests. @module */

import type { WorkerAnnouncement } from "../../../shared/nats/worker_announcement.ts";

export function announcement(change: Partial<WorkerAnnouncement> = {}): WorkerAnnouncement {
  return {
    id: "w1",
    boot: "b1",
    count: 1,
    address: "10.0.0.5:7070",
    name: "photo",
    modelHash: "ab".repeat(32),
    family: "sd15",
    blocks: ["IN00", "M00", "OUT11"],
    planes: ["shm", "unix", "tcp"],
    versions: { protocol: { min: 2, max: 2 }, tutti: "0.1.0", deno: "2.9.6", runtime: "ort 1" },
    fingerprint: {
      runtime: "ort 1",
      device: "cpu",
      precision: "f32",
      isa: "avx2",
      threads: 2,
      graphHash: "cd".repeat(32),
    },
    lanes: 1,
    busyLanes: 0,
    queueDepth: 0,
    sessions: 0,
    maxSessions: 16,
    arenaBytesLeft: 2 ** 31,
    draining: false,
    ...change,
  };
}
