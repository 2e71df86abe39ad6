/**
 * Holds an expert in the middle of a block until the test lets go, or the call is cancelled.
 *
 * @module
 */

export class Hold {
  readonly #block: string;
  readonly #reached = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();

  constructor(block: string) {
    this.#block = block;
  }

  /** Settles when the block is about to compute. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  release(): void {
    this.#released.resolve();
  }

  /** For `AffineExpert`'s `beforeBlock`. */
  readonly beforeBlock = async (block: string, signal?: AbortSignal): Promise<void> => {
    if (block !== this.#block) return;
    this.#reached.resolve();
    const cancelled = Promise.withResolvers<void>();
    const onAbort = () => cancelled.resolve();
    signal?.addEventListener("abort", onAbort);
    await Promise.race([this.#released.promise, cancelled.promise]);
    signal?.removeEventListener("abort", onAbort);
  };
}
