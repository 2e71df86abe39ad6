/** Calls that only count together: if one fails, the others need not go on. @module */

/**
 * Makes a call per item, all at the same time.
 *
 * @param call is cancelled through its signal as soon as another call fails, or `signal` fires
 * @returns the answers in the items' order
 * @throws what the first call that failed threw, once all have settled: none outlives this function
 */
export async function sideBySide<Item, Answer>(
  items: readonly Item[],
  call: (item: Item, signal: AbortSignal, index: number) => Promise<Answer>,
  signal?: AbortSignal,
): Promise<Answer[]> {
  const others = new AbortController();
  const either = signal ? AbortSignal.any([signal, others.signal]) : others.signal;
  const calls = items.map(async (item, index) => {
    try {
      return await call(item, either, index);
    } catch (error) {
      others.abort();
      throw error;
    }
  });
  try {
    return await Promise.all(calls);
  } catch (error) {
    await Promise.allSettled(calls);
    throw error;
  }
}
