/**
 * Runs `tutti` as a user does: real processes in a temporary folder that is their working directory,
 * state and cache, so that tests meet neither the user's workers nor each other's.
 *
 * @module
 */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { eventually } from "./serve_expert.ts";

export interface TuttiResult {
  /** 128 and the signal's number for a process that a signal ended. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Sends SIGINT when it fires: Ctrl-C. */
  readonly signal?: AbortSignal;
  /** @default 240 s: a run that takes longer hangs */
  readonly timeoutMs?: number;
  /** A process group of its own, so that `killGroup()` reaches it and no one else. */
  readonly detached?: boolean;
}

interface WatchOptions extends Pick<RunOptions, "signal" | "timeoutMs"> {
  /** Rejects if what was printed on standard output is wrong. */
  readonly check?: (printed: string) => Promise<void>;
}

/** A process found in `/proc`. */
export interface FoundProcess {
  readonly pid: number;
  readonly args: readonly string[];
}

/** A run that takes longer than this hangs. */
const TIMEOUT_MS = 240_000;
/** For what goes on until the test ends it, however busy the machine is. */
export const LONG_LIVED_MS = 600_000;

let denoDir: Promise<string> | undefined;

/** Where Deno keeps compiled modules: with a fresh cache folder every run would compile them anew. */
function findDenoDir(): Promise<string> {
  return denoDir ??= new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output().then(
    ({ stdout }) => (JSON.parse(new TextDecoder().decode(stdout)) as { denoDir: string }).denoDir,
  );
}

/** A test with a home of its own, which fails if a process is left at its end. */
export function testTutti(
  name: string,
  body: (home: TuttiHome, t: Deno.TestContext) => Promise<void>,
  options: Pick<Deno.TestDefinition, "sanitizeOps" | "sanitizeResources"> = {},
): void {
  Deno.test(name, options, async (t) => {
    const home = await TuttiHome.create();
    try {
      await body(home, t);
      await home.assertNoProcesses();
    } finally {
      // After a failure some may be left, and must not disturb the next test.
      await home.killProcesses();
      await rm(home.path, { recursive: true });
    }
  });
}

/** Until the end of a process that was killed is heard of, at most, ms. */
const END_HEARD_MS = 10_000;

export interface HomeOptions {
  /** The `main.ts` whose commands run. @default this tree's */
  readonly mainProgram?: string;
  /** More of the commands' environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The folder in which commands run. */
export class TuttiHome {
  readonly path: string;
  readonly #denoDir: string;
  readonly #options: HomeOptions;
  /** Ends of the commands that run. */
  readonly #ends = new Set<Promise<void>>();

  private constructor(path: string, denoDir: string, options: HomeOptions) {
    this.path = path;
    this.#denoDir = denoDir;
    this.#options = options;
  }

  static async create(options: HomeOptions = {}): Promise<TuttiHome> {
    const path = await mkdtemp(join(tmpdir(), "tutti-test-"));
    await mkdir(join(path, "cwd"));
    return new TuttiHome(path, await findDenoDir(), options);
  }

  /** A path in the working directory of commands. */
  file(...parts: readonly string[]): string {
    return join(this.path, "cwd", ...parts);
  }

  get stateFolder(): string {
    return join(this.path, "state", "tutti");
  }

  /** What commands of this home have in their environment. */
  get env(): Record<string, string> {
    return {
      XDG_STATE_HOME: join(this.path, "state"),
      XDG_CACHE_HOME: join(this.path, "cache"),
      XDG_CONFIG_HOME: join(this.path, "config"),
      DENO_DIR: this.#denoDir,
      NO_COLOR: "1",
      // `auto` would say on standard error what it chose, and choose otherwise on a machine with a GPU.
      TUTTI_DEVICE: "cpu",
      // The user's cluster is none of the tests' business.
      TUTTI_NATS: "",
      ...this.#options.env,
    };
  }

  start(args: readonly string[], options: RunOptions = {}): TuttiProcess {
    const { mainProgram = MAIN_PROGRAM } = this.#options;
    // Another tree has its own schemas.
    const check = args.includes("--json") && mainProgram === MAIN_PROGRAM
      ? { check: (printed: string) => fitsSchema(args, printed) }
      : {};
    return this.startProgram(Deno.execPath(), ["run", "-q", "-A", mainProgram, ...args], {
      ...options,
      ...check,
    });
  }

  /** Another program in the same environment. */
  startProgram(
    program: string,
    args: readonly string[],
    { env = {}, detached = false, ...options }: RunOptions & WatchOptions = {},
  ): TuttiProcess {
    const child = new Deno.Command(program, {
      args: [...args],
      cwd: this.file(),
      env: { ...this.env, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached,
    }).spawn();
    const process = new TuttiProcess(child, `tutti ${args.join(" ")}`, options);
    const end = process.result.then(() => {}, () => {}).finally(() => this.#ends.delete(end));
    this.#ends.add(end);
    return process;
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<TuttiResult> {
    return this.start(args, options).result;
  }

  /** Fails with all that the command printed if it does not end with `code`. */
  async expect(
    code: number,
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<TuttiResult> {
    const result = await this.run(args, options);
    const printed = `tutti ${args.join(" ")}\n${result.stdout}${result.stderr}`;
    assert.equal(result.code, code, printed);
    return result;
  }

  /** Runs with `--json` and reads the lines that it prints. */
  async json<T = Record<string, unknown>>(
    args: readonly string[],
    options: RunOptions & { readonly code?: number } = {},
  ): Promise<T[]> {
    const { stdout } = await this.expect(options.code ?? 0, [...args, "--json"], options);
    return jsonLines(stdout);
  }

  /** Every living process that was started in this home, by whomever. Only Linux tells. */
  async processes(): Promise<FoundProcess[]> {
    const mark = `XDG_STATE_HOME=${this.env.XDG_STATE_HOME}`;
    const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
    const found = await Promise.all(pids.map(async (pid) => {
      // A process that ends while it is looked at is no process any more.
      const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
      const [environ, cmdline] = await Promise.all([read("environ"), read("cmdline")]);
      if (!environ.split("\0").includes(mark) || cmdline === "") return [];
      return [{ pid: Number(pid), args: cmdline.split("\0") }];
    }));
    return found.flat();
  }

  async workers(): Promise<FoundProcess[]> {
    return (await this.processes()).filter(({ args }) => args.includes("worker"));
  }

  /** Fails if a process is left that does not end by itself in a moment. */
  async assertNoProcesses(): Promise<void> {
    await eventually(async () => (await this.processes()).length === 0).catch(() => {});
    const left = await this.processes();
    assert.deepEqual(left.map(({ args }) => args.join(" ")), [], "processes are left");
  }

  async killProcesses(): Promise<void> {
    for (const { pid } of await this.processes()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    // A test that ends before this process has heard of it would leave its wait behind.
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, END_HEARD_MS);
    await Promise.race([Promise.all(this.#ends), late]);
    clearTimeout(timer);
  }
}

/** A command that runs. */
export class TuttiProcess {
  readonly pid: number;
  readonly result: Promise<TuttiResult>;
  readonly #child: Deno.ChildProcess;
  readonly #printed = { stdout: "", stderr: "" };
  readonly #watchers = new Set<() => void>();

  constructor(child: Deno.ChildProcess, name: string, options: WatchOptions) {
    this.#child = child;
    this.pid = child.pid;
    this.result = this.#wait(name, options);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** To the process and all in its group, as a terminal does with Ctrl-C. Needs `detached`. */
  killGroup(signal: "INT" | "KILL"): void {
    const { success } = new Deno.Command("kill", { args: [`-${signal}`, "--", `-${this.pid}`] })
      .outputSync();
    assert.ok(success, `the process group ${this.pid} cannot be signalled`);
  }

  /** Settles when what the process printed matches; fails if it ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    let ended = false;
    this.result.catch(() => {}).finally(() => {
      ended = true;
      this.#wake();
    });
    for (;;) {
      const match = pattern.exec(this.#printed.stdout) ?? pattern.exec(this.#printed.stderr);
      if (match) return match;
      assert.ok(!ended, `it ended without ${pattern}: ${Object.values(this.#printed).join("")}`);
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#watchers) resolve();
    this.#watchers.clear();
  }

  async #wait(
    name: string,
    { timeoutMs = TIMEOUT_MS, signal, check }: WatchOptions,
  ): Promise<TuttiResult> {
    const interrupt = () => this.kill("SIGINT");
    signal?.addEventListener("abort", interrupt);
    let hangs = false;
    const timer = setTimeout(() => {
      hangs = true;
      this.kill("SIGKILL");
    }, timeoutMs);
    const [{ code }] = await Promise.all([
      this.#child.status,
      this.#collect("stdout"),
      this.#collect("stderr"),
    ]);
    clearTimeout(timer);
    signal?.removeEventListener("abort", interrupt);
    const printed = this.#printed;
    assert.ok(!hangs, `${name} hangs:\n${printed.stdout}${printed.stderr}`);
    await check?.(printed.stdout);
    return { code, ...printed };
  }

  async #collect(stream: "stdout" | "stderr"): Promise<void> {
    for await (const text of this.#child[stream].pipeThrough(new TextDecoderStream())) {
      this.#printed[stream] += text;
      this.#wake();
    }
  }
}

/** Loaded by tests that print JSON alone. */
async function fitsSchema(args: readonly string[], printed: string): Promise<void> {
  const { checkJson, schemaOf } = await import("./json_schemas.ts");
  await checkJson(schemaOf(args), printed);
}

/** Every line of a command's output as JSON. */
export function jsonLines<T = Record<string, unknown>>(stdout: string): T[] {
  return stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as T);
}
