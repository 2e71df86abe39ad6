/**
 * A real nats-server with JetStream for a test: in a folder of its own, on a free port that it keeps when it is started
 * again. `testWithNats()` skips where there is no such program, and the test's name says why.
 *
 * @module
 */

import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import type { KeyPair } from "../../shared/security/tls_files.ts";
import { freePort } from "./free_port.ts";
import { findNatsServer } from "./nats_program.ts";
import { type TempFolder, tempFolder } from "./temp_folder.ts";

export interface NatsServerOptions {
  /** Without it, whoever connects is let in. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Without it, it speaks plain text. */
  readonly tls?: {
    readonly pair: KeyPair;
    /** Authority one of whose certificates clients must have. */
    readonly clientCa?: string;
  };
  /** @default true */
  readonly jetStream?: boolean;
  /** Largest message, bytes. @default 1 MB, as the server's own */
  readonly maxPayload?: number;
  /** Bytes that JetStream may have on disk. */
  readonly maxFileStore?: number;
  /** Further lines of the server's configuration. */
  readonly config?: string;
}

/** A server that is not up by then will not be. */
const START_TIMEOUT_MS = 20_000;

const program = await findNatsServer();

/** A test that needs a NATS server. */
export function testWithNats(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  if ("path" in program) Deno.test(name, fn);
  else Deno.test({ name: `${name} (skipped: ${program.reason})`, ignore: true, fn });
}

export class NatsServer implements AsyncDisposable {
  readonly port: number;
  readonly #folder: TempFolder;
  #child: Deno.ChildProcess | undefined;

  private constructor(port: number, folder: TempFolder) {
    this.port = port;
    this.#folder = folder;
  }

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    assert.ok("path" in program, "tests with NATS are declared with testWithNats()");
    const server = new NatsServer(freePort(), await tempFolder());
    try {
      await server.configure(options);
      await server.restart();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Has effect from the next start on. */
  async configure(options: NatsServerOptions): Promise<void> {
    const { pair, clientCa } = options.tls ?? {};
    if (pair) await writeFile(this.#path("server.pem"), pair.cert);
    if (pair) await writeFile(this.#path("server.key"), pair.key, { mode: 0o600 });
    if (clientCa !== undefined) await writeFile(this.#path("ca.pem"), clientCa);
    await writeFile(this.#path("server.conf"), this.#config(options));
  }

  /** For `--nats`; without a login. */
  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** For `--nats`, with this login. */
  urlFor({ user, password }: { readonly user: string; readonly password: string }): string {
    return `nats://${encodeURIComponent(user)}:${
      encodeURIComponent(password)
    }@127.0.0.1:${this.port}`;
  }

  /** What the server has logged since it was first started. */
  log(): Promise<string> {
    return readFile(this.#path("server.log"), "utf8").catch(() => "");
  }

  /** Starts it, again if it ran: on the same port, with the same store unless that is to be empty. */
  async restart({ emptyStore = false } = {}): Promise<void> {
    await this.stop();
    if (emptyStore) await rm(this.#path("store"), { recursive: true, force: true });
    await mkdir(this.#path("store"), { recursive: true });
    assert.ok("path" in program);
    const child = new Deno.Command(program.path, {
      args: ["--config", this.#path("server.conf")],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#child = child;
    let hasEnded = false;
    void child.status.then(() => hasEnded = true);
    const end = performance.now() + START_TIMEOUT_MS;
    while (!await this.#answers()) {
      if (hasEnded || performance.now() > end) {
        throw new Error(`nats-server does not start:\n${await this.log()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** In good order. Without effect on one that does not run. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** At once: it has no time to write or to say good-bye. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Freezes it: connections stay open and hear nothing. */
  pause(): void {
    this.#child!.kill("SIGSTOP");
  }

  resume(): void {
    this.#child!.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#folder[Symbol.asyncDispose]();
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    try {
      child.kill(signal);
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
    await child.status;
  }

  /** A server greets whoever connects with its INFO; it listens once JetStream is ready. */
  async #answers(): Promise<boolean> {
    try {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
      return await conn.read(new Uint8Array(4)) !== null;
    } catch {
      return false;
    }
  }

  #config(
    { login, tls, jetStream = true, maxPayload, maxFileStore, config = "" }: NatsServerOptions,
  ): string {
    const file = (name: string) => JSON.stringify(this.#path(name));
    return [
      `listen: "127.0.0.1:${this.port}"`,
      `log_file: ${file("server.log")}`,
      ...(jetStream
        ? [
          `jetstream { store_dir: ${file("store")}` +
          `${maxFileStore === undefined ? "" : `, max_file_store: ${maxFileStore}`} }`,
        ]
        : []),
      ...(login
        ? [
          `authorization { user: ${JSON.stringify(login.user)}, ` +
          `password: ${JSON.stringify(login.password)} }`,
        ]
        : []),
      ...(tls
        ? [
          `tls { cert_file: ${file("server.pem")}, key_file: ${file("server.key")}` +
          `${tls.clientCa === undefined ? "" : `, ca_file: ${file("ca.pem")}, verify: true`} }`,
        ]
        : []),
      ...(maxPayload === undefined ? [] : [`max_payload: ${maxPayload}`]),
      config,
      "",
    ].join("\n");
  }

  #path(name: string): string {
    return this.#folder.join(name);
  }
}
