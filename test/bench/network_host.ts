/**
 * Runs beside a worker on its host: serves the link's meter and, on a link with a delay, the proxies that delay. A proxy
 * stands at the host's address for each port that the worker listens on at loopback, so that nothing gets past it.
 *
 * @module
 */

import { LinkProxy } from "../support/link_proxy.ts";
import { serveMeter } from "./link_meter.ts";

export interface NetworkHostOptions {
  /** Of the host on its cable to the coordinator. */
  readonly address: string;
  /** One way; 0 for a link without proxies. */
  readonly delayMs: number;
  /** Of the worker at loopback. */
  readonly ports: readonly number[];
}

/** Said once all is ready. */
export interface NetworkHostReady {
  readonly meterPort: number;
}

if (import.meta.main) {
  const { address, delayMs, ports } = JSON.parse(Deno.args[0]!) as NetworkHostOptions;
  await using resources = new AsyncDisposableStack();
  const isDelayed = delayMs > 0;
  const meter = resources.use(serveMeter(isDelayed ? "127.0.0.1" : address));
  for (const port of isDelayed ? [...ports, meter.port] : []) {
    resources.use(
      new LinkProxy({
        server: { hostname: "127.0.0.1", port },
        listen: { hostname: address, port },
        link: { delayMs },
      }),
    );
  }
  const ready: NetworkHostReady = { meterPort: meter.port };
  await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(ready)}\n`));
  await Deno.stdin.readable.pipeTo(new WritableStream());
}
