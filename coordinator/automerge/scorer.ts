/** Who says how good a merge is. @module */

/** A merge that is being tried: its weights are in the expert that is scored, and its pictures are drawn. */
export interface Candidate {
  /** Files, one per prompt; none if there are no prompts. */
  readonly pictures: readonly string[];
  readonly prompts: readonly string[];
}

export interface Scorer {
  /** All that its scores follow from besides the candidate: a search goes on with an equal one only. */
  readonly conditions: Readonly<Record<string, unknown>>;
  /** Larger is better. */
  score(candidate: Candidate, signal: AbortSignal): Promise<number>;
}
