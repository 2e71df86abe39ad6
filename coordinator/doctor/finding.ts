/** What `tutti doctor` finds: one thing that it looked at. @module */

export interface Finding {
  readonly name: string;
  /** `absent`: not there, and not needed to sample on the processor. */
  readonly verdict: "ok" | "absent" | "failed";
  /** Version, size, place, or what is wrong. */
  readonly value: string;
  /** What to do about it, if it is not ok. */
  readonly nextStep?: string;
}

export function ok(name: string, value: string): Finding {
  return { name, verdict: "ok", value };
}

/** Something that sampling on the processor needs. */
export function failed(name: string, value: string, nextStep: string): Finding {
  return { name, verdict: "failed", value, nextStep };
}

/** Something that sampling on the processor can do without. */
export function absent(name: string, value: string, nextStep: string): Finding {
  return { name, verdict: "absent", value, nextStep };
}
