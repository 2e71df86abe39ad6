/** An expert that counts how many forward calls it has at a time, over all its sessions. @module */

import type { Expert, ExpertSession } from "../../shared/engine/expert.ts";

export interface CallCount {
  now: number;
  most: number;
}

/** The same expert in all else, what this file does not know of included. */
export function observedExpert(expert: Expert, calls: CallCount): Expert {
  return overriding(expert, {
    openSession: async (...args) => {
      const session = await expert.openSession(...args);
      return overriding<ExpertSession>(session, {
        forward: async (...args) => {
          calls.most = Math.max(calls.most, ++calls.now);
          try {
            return await session.forward(...args);
          } finally {
            calls.now--;
          }
        },
      });
    },
  });
}

function overriding<T extends object>(target: T, overrides: Partial<T>): T {
  return new Proxy(target, {
    get: (_, key) => {
      const override = overrides[key as keyof T];
      if (override !== undefined) return override;
      // Private fields are the target's own: a method must not meet the proxy as `this`.
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
