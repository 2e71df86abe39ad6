/**
 * Where the replicas of an expert can be found: workers that serve the same model to the same bits. A list that never
 * changes, or a discovery that follows workers as they come and go.
 *
 * @module
 */

/** A worker that is said to serve the expert. */
export interface ReplicaRecord {
  /** HOST:PORT */
  readonly address: string;
  /** It finishes what it has and takes nothing new. */
  readonly isDraining: boolean;
  /** Calls that waited for a lane when it last told; unknown in a list that never changes. */
  readonly queueDepth?: number;
}

export interface ReplicaDirectory {
  /** All that are known now, in no promised order. */
  replicas(): readonly ReplicaRecord[];
  /**
   * @param listener called after each change, with no promise of one call per change
   * @returns what ends it
   */
  onChange(listener: () => void): () => void;
}

/** Workers that were listed once and for all. */
export class StaticReplicas implements ReplicaDirectory {
  readonly #replicas: readonly ReplicaRecord[];

  /** @param addresses HOST:PORT each */
  constructor(addresses: readonly string[]) {
    this.#replicas = addresses.map((address) => ({ address, isDraining: false }));
  }

  replicas(): readonly ReplicaRecord[] {
    return this.#replicas;
  }

  onChange(): () => void {
    return () => {};
  }
}
