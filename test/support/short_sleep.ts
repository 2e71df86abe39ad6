/**
 * Sleeps of less than a few milliseconds. `setTimeout()` rounds up to whole milliseconds and comes one later, so half a
 * millisecond becomes two; the C library's `usleep()` on a thread of Deno's pool is late by a tenth.
 *
 * @module
 */

export interface ShortSleep extends Disposable {
  /** Settles after `ms` or a little later. Cannot be ended before: for short times only. */
  sleep(ms: number): Promise<void>;
}

/** Dispose it after the last sleep has settled. */
export function openShortSleep(): ShortSleep {
  const usleep = { parameters: ["u32"], result: "i32", nonblocking: true } as const;
  try {
    const library = Deno.dlopen("libc.so.6", { usleep });
    return {
      sleep: async (ms) => void await library.symbols.usleep(Math.ceil(ms * 1000)),
      [Symbol.dispose]: () => library.close(),
    };
  } catch {
    // Another C library: delays are longer than asked for.
    return {
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      [Symbol.dispose]: () => {},
    };
  }
}
