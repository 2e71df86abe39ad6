/**
 * Which cores a process may run on, through Linux' `taskset`: a benchmark that speaks of two cores then means two, also on a
 * larger machine. Where it is missing nothing is pinned, and results say so.
 *
 * @module
 */

/** A process's bounds, which end with it. */
export interface HeldCores extends AsyncDisposable {
  /** The cores; undefined where they could not be chosen. */
  readonly cores: readonly number[] | undefined;
}

/**
 * Keeps this process, and all that it starts from now on, on the first `count` cores that it may use.
 */
export async function holdCores(count: number): Promise<HeldCores> {
  const allowed = await allowedCores();
  const cores = allowed?.slice(0, count);
  const isHeld = cores !== undefined && cores.length === count && await pin(Deno.pid, cores);
  return {
    cores: isHeld ? cores : undefined,
    [Symbol.asyncDispose]: async () => void (isHeld && await pin(Deno.pid, allowed!)),
  };
}

/**
 * Moves all threads of a process, and those that they will start, to some cores.
 *
 * @returns whether it worked
 */
export async function pin(pid: number, cores: readonly number[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("taskset", {
      args: ["--all-tasks", "--cpu-list", "--pid", cores.join(), String(pid)],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false; // There is no taskset.
  }
}

/** Cores that this process may use, in order; undefined where the system does not tell. */
export async function allowedCores(): Promise<number[] | undefined> {
  try {
    const status = await Deno.readTextFile("/proc/self/status");
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
    return list === undefined ? undefined : parseCoreList(list);
  } catch {
    return undefined; // Another system.
  }
}

/** `0-2,5` -> 0, 1, 2, 5 */
export function parseCoreList(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first = NaN, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
