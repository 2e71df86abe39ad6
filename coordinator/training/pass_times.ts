/**
 * Where the time of training goes: experts and SABW, forward and back. Experts work side by side, so a part lasts from the first that
 * begins to the last that ends.
 *
 * @module
 */

import type { Expert, ExpertSession } from "../../shared/engine/expert.ts";
import type { TrainableEnsemble } from "./batch_pass.ts";

export const PASS_PARTS = [
  "experts forward",
  "SABW forward",
  "experts backward",
  "SABW backward",
  "sessions and time embeddings",
] as const;
export type PassPart = typeof PASS_PARTS[number];

export class PassTimes {
  readonly #now: () => number;
  readonly #clocks = new Map<PassPart, { ms: number; active: number; since: number }>();

  /** @param now milliseconds, monotonic */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** So far, in milliseconds. */
  get(part: PassPart): number {
    return this.#clocks.get(part)?.ms ?? 0;
  }

  /** Of experts and SABW together. */
  get forwardMs(): number {
    return this.get("experts forward") + this.get("SABW forward");
  }

  get backwardMs(): number {
    return this.get("experts backward") + this.get("SABW backward");
  }

  async time<T>(part: PassPart, work: () => Promise<T>): Promise<T> {
    const clock = this.#clocks.get(part) ?? { ms: 0, active: 0, since: 0 };
    this.#clocks.set(part, clock);
    if (clock.active++ === 0) clock.since = this.#now();
    try {
      return await work();
    } finally {
      if (--clock.active === 0) clock.ms += this.#now() - clock.since;
    }
  }

  /** The same ensemble, with its time taken. */
  over(ensemble: TrainableEnsemble): TrainableEnsemble {
    const { experts, aggregator, plan } = ensemble;
    return {
      plan,
      experts: experts.map((expert) => this.#expert(expert)),
      aggregator: {
        name: aggregator.name,
        aggregate: (...args) => this.time("SABW forward", () => aggregator.aggregate(...args)),
        backward: (...args) => this.time("SABW backward", () => aggregator.backward(...args)),
        close: () => aggregator.close(),
      },
    };
  }

  #expert(expert: Expert): Expert {
    const around = "sessions and time embeddings";
    return {
      description: expert.description,
      encodeText: (...args) => expert.encodeText(...args),
      embedTimesteps: (...args) => this.time(around, () => expert.embedTimesteps(...args)),
      openSession: async (...args) =>
        this.#session(await this.time(around, () => expert.openSession(...args))),
      close: () => expert.close(),
    };
  }

  #session(session: ExpertSession): ExpertSession {
    return {
      inputBuffer: (range) => session.inputBuffer(range),
      forward: (...args) => this.time("experts forward", () => session.forward(...args)),
      ...(session.gradientBuffer && {
        gradientBuffer: (range) => session.gradientBuffer!(range),
      }),
      ...(session.backward && {
        backward: (...args) => this.time("experts backward", () => session.backward!(...args)),
      }),
      close: () => this.time("sessions and time embeddings", () => session.close()),
    };
  }
}
