/** A worker with TLS whose files may change, on the ports of which real connections look at certificates. @module */

import { type KeyPair, readTlsFiles } from "../../shared/security/tls_files.ts";
import { TokenGuard } from "../../shared/security/token_guard.ts";
import { watchTlsFiles } from "../../shared/security/watch_tls_files.ts";
import { parseAddress } from "../../shared/wire/address.ts";
import { type RunningWorker, startWorkerServer } from "../../worker/rpc/server.ts";
import { workerTls } from "../../worker/security/worker_security.ts";
import { AffineExpert } from "./affine_expert.ts";
import { freePort } from "./free_port.ts";
import { serialAt } from "./serial_at.ts";
import type { TempFolder } from "./temp_folder.ts";

/** Between two looks at the files. */
export const INTERVAL_MS = 20;

const NAMES = ["cert", "key", "ca"] as const;

export class RenewedWorker implements AsyncDisposable {
  /** What the user reads. */
  readonly told: string[] = [];
  readonly paths: { tlsCert: string; tlsKey: string; tlsCa: string };
  readonly #folder: TempFolder;
  readonly #stack = new AsyncDisposableStack();
  readonly #planePort = freePort();
  #worker!: RunningWorker;
  #versions = 0;

  private constructor(folder: TempFolder) {
    this.#folder = folder;
    const [tlsCert, tlsKey, tlsCa] = NAMES.map((name) => folder.join("used", name));
    this.paths = { tlsCert: tlsCert!, tlsKey: tlsKey!, tlsCa: tlsCa! };
  }

  static async start(folder: TempFolder, pair: KeyPair, ca: string): Promise<RenewedWorker> {
    const renewed = new RenewedWorker(folder);
    await renewed.write(pair, ca);
    const tell = (text: string) => void renewed.told.push(text);
    const files = (await readTlsFiles(renewed.paths, tell))!;
    const worker = renewed.#worker = renewed.#stack.use(
      await startWorkerServer({
        expert: new AffineExpert(),
        listen: "127.0.0.1:0",
        http: "127.0.0.1:0",
        planes: ["tcp"],
        planePort: renewed.#planePort,
        security: { tls: workerTls(files), guard: new TokenGuard([]) },
      }),
    );
    await worker.ready;
    renewed.#stack.use(watchTlsFiles(renewed.paths, files, {
      renew: (files) => worker.renewTls(workerTls(files)),
      ...{ warn: tell, note: tell, intervalMs: INTERVAL_MS },
    }));
    return renewed;
  }

  get address(): string {
    return this.#worker.address;
  }

  /** What new connections see on the gRPC port, the tcp plane and the pages. @param pair of the client */
  serials(pair: KeyPair): Promise<string[]> {
    const { address, httpAddress } = this.#worker;
    const ports = [parseAddress(address).port, this.#planePort, parseAddress(httpAddress!).port];
    return Promise.all(ports.map((port) => serialAt(port, pair)));
  }

  /** All files at once, as Kubernetes does with a secret that is mounted: no look finds half of them. */
  async write({ cert, key }: KeyPair, ca: string): Promise<void> {
    const [version, next] = [`version-${++this.#versions}`, this.#folder.join("next")];
    await Deno.mkdir(this.#folder.join(version));
    for (const [index, text] of [cert, key, ca].entries()) {
      await Deno.writeTextFile(this.#folder.join(version, NAMES[index]!), text, { mode: 0o600 });
    }
    await Deno.symlink(version, next);
    await Deno.rename(next, this.#folder.join("used"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
