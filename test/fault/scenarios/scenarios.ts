/** What has to be survived. @module */

import type { Scenario } from "./scenario.ts";

/** A worker that is frozen is given up after 1.5 s of silence, asked every 0.5 s. */
const NOTICED_MS = 2_000;
const ALWAYS = ["no image failed", "equal bits", "nothing left"] as const;
/** Feature maps travel where the proxy can reach them. */
const THROUGH_PROXY = ["--planes", "grpc"];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "kill",
    what:
      "a worker is killed (SIGKILL) in every image, with a block's call under way; one spare per expert",
    cluster: { replicas: 2 },
    load: { images: 25, steps: 4 },
    events: [{
      at: { image: "each", block: "next" },
      action: { kind: "end", signal: "SIGKILL", startsAgain: true },
    }],
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS }],
  },
  {
    name: "kill-two",
    what: "workers of two experts are killed in the same image",
    cluster: { replicas: 2 },
    load: { images: 8, steps: 4 },
    events: [1, 2].map((step) => ({
      at: { image: "each", step },
      action: { kind: "end", signal: "SIGKILL", startsAgain: true },
    })),
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS }],
  },
  {
    name: "freeze",
    what: "a worker is frozen (SIGSTOP) with a call under way, and wakes up later",
    cluster: { replicas: 2 },
    load: { images: 6, steps: 4 },
    events: [{ at: { image: "each" }, action: { kind: "freeze" } }],
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS + 500 }],
  },
  {
    name: "no-spare",
    what: "the only worker of an expert is killed; another one starts at its address",
    cluster: { replicas: 1 },
    load: { images: 6, steps: 4 },
    events: [{
      at: { image: "each" },
      action: { kind: "end", signal: "SIGKILL", startsAgain: true },
    }],
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS }],
  },
  {
    name: "no-return",
    what:
      "the only worker of an expert is killed and stays away for longer than the run waits: an error names the expert",
    cluster: { replicas: 1 },
    load: { images: 1, steps: 4, parkSeconds: 2 },
    events: [{
      at: { image: "each" },
      action: { kind: "end", signal: "SIGKILL", startsAgain: false },
    }],
    checks: ["typed errors", "nothing left"],
  },
  {
    name: "rolling-restart",
    what:
      "one worker after the other is asked to stop (SIGTERM) while two images are drawn at a time",
    cluster: { replicas: 2 },
    load: { images: 12, steps: 6, sideBySide: 2 },
    events: [{
      at: { image: "each" },
      action: { kind: "end", signal: "SIGTERM", startsAgain: true },
    }],
    checks: [...ALWAYS, "clean exits"],
  },
  {
    name: "cut",
    what: "the connection to a worker is cut in the middle of a call",
    cluster: { replicas: 2, flags: THROUGH_PROXY, link: {} },
    load: { images: 8, steps: 4 },
    events: [{ at: { image: "each" }, action: { kind: "cut" } }],
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS }],
  },
  {
    name: "half-open",
    what: "a link passes nothing on any more, and neither side is told",
    cluster: { replicas: 2, flags: THROUGH_PROXY, link: {} },
    load: { images: 6, steps: 4 },
    events: [{ at: { image: "each" }, action: { kind: "stall" } }],
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS + 500 }],
  },
  {
    name: "slow-link",
    what: "links of 20 ms and 100 Mbit/s, and one of them is cut",
    cluster: {
      replicas: 2,
      flags: THROUGH_PROXY,
      link: { link: { delayMs: 20, bytesPerSecond: 12_500_000 } },
    },
    load: { images: 2, steps: 3 },
    events: [{ at: { image: "each" }, action: { kind: "cut" } }],
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS }],
  },
  {
    name: "loss",
    what: "links lose one packet in 1,000, and one of them is cut",
    cluster: { replicas: 2, flags: THROUGH_PROXY, link: { link: { delayMs: 1, loss: 0.001 } } },
    load: { images: 4, steps: 3 },
    events: [{ at: { image: "each" }, action: { kind: "cut" } }],
    checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS }],
  },
  {
    name: "nats-away",
    what:
      "the NATS server by which workers were found is killed and away for 60 s while an image is drawn, and a worker is killed meanwhile",
    cluster: { replicas: 2, nats: true },
    load: { images: 1, steps: 500 },
    events: [
      { at: { image: "each", step: 2 }, action: { kind: "nats away", seconds: 60 } },
      {
        at: { image: "each", step: 40 },
        action: { kind: "end", signal: "SIGKILL", startsAgain: true },
      },
    ],
    checks: [...ALWAYS, "outlasted", "announced", { noticedWithinMs: NOTICED_MS }],
  },
  {
    name: "flip",
    what:
      "a bit of what comes from a worker is turned on the way, in gRPC's own framing or in a tensor",
    cluster: { replicas: 2, flags: THROUGH_PROXY, link: {} },
    load: { images: 12, steps: 4 },
    events: [{ at: { image: "each" }, action: { kind: "flip", direction: "toClient" } }],
    checks: [...ALWAYS],
  },
  {
    name: "cancel",
    what: "images are cancelled at random blocks, three at a time",
    cluster: { replicas: 1 },
    load: { images: 60, steps: 4, sideBySide: 3 },
    events: [{ at: { image: "each" }, action: { kind: "cancel" } }],
    checks: ["cancelled", "nothing left"],
  },
];

/** All of it for half an hour, by lot, with shared memory between the coordinator and some of the workers. */
export const SOAK: Scenario = {
  name: "soak",
  what:
    "two images at a time lose workers to kills, restarts, freezes, cut and stalled links and turned bits, or are cancelled, for 30 minutes; two spares per expert",
  cluster: { replicas: 3, replicaFlags: [[], THROUGH_PROXY, ["--planes", "tcp,grpc"]], link: {} },
  load: { images: 4, minutes: 30, steps: 6, sideBySide: 2, parkSeconds: 300 },
  events: [{
    at: { image: "each" },
    action: [
      { kind: "end", signal: "SIGKILL", startsAgain: true },
      { kind: "end", signal: "SIGTERM", startsAgain: true },
      { kind: "freeze" },
      { kind: "cut" },
      { kind: "stall" },
      { kind: "flip", direction: "toClient" },
      { kind: "cancel" },
    ],
  }],
  checks: ["no image failed but by cancelling", "equal bits", "nothing left", "resources back"],
};

/** Strangers without a token do all that `attacks.ts` has to one worker, for as long as images are drawn. */
export const ATTACKED: Scenario = {
  name: "attacked",
  what:
    "strangers without a token flood the ports of a worker in 17 ways at once, for 10 minutes; no spare",
  cluster: {
    replicas: 1,
    token: "token-of-the-fault-scenarios",
    flags: ["--http", "127.0.0.1:0"],
  },
  load: { images: 4, minutes: 10, steps: 6 },
  events: [],
  checks: [...ALWAYS, "resources back", { timesSlower: 2 }],
  isAttacked: true,
};

/**
 * Every image loses a worker at each of the 25 blocks, one a step: 42 images are 1,050 kills, 42 at each block. The
 * long one: a killed process takes seconds to start again.
 */
export const KILL_STORM: Scenario = {
  name: "kill-storm",
  what:
    "a worker is killed in every step of every image, at each of the 25 blocks in turn; two spares per expert",
  cluster: { replicas: 3, link: {} },
  load: { images: 42, steps: 26, parkSeconds: 300 },
  events: Array.from({ length: 25 }, (_, i) => ({
    at: { image: "each", step: i + 1, block: "next" },
    action: { kind: "end", signal: "SIGKILL", startsAgain: true, holdsCall: true },
  })),
  checks: [...ALWAYS, { noticedWithinMs: NOTICED_MS }],
};
