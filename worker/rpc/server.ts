/**
 * Assembles a worker's gRPC server: the worker service, health and reflection on one port, its limits,
 * and its life from loading through serving to stopped.
 *
 * @module
 */

import { ReflectionService } from "@grpc/reflection";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { HealthImplementation, type ServingStatus } from "grpc-health-check";
import type { BlockExpert } from "../../shared/engine/block_expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { PageProtection } from "../../shared/http/page_protection.ts";
import {
  parseHttpAddress,
  startWatchServer,
  type WatchServer,
} from "../../shared/http/watch_server.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { type Address, formatAddress } from "../../shared/wire/address.ts";
import type { WorkerStatus } from "../../shared/wire/convert_status.ts";
import { openFlowWindow } from "../../shared/wire/flow_window.ts";
import { guardHttp2 } from "../../shared/wire/http2/guard_http2.ts";
import { quietGrpcLog } from "../../shared/wire/grpc_log.ts";
import {
  DEFAULT_LIMITS,
  KEEPALIVE_MS,
  KEEPALIVE_TIMEOUT_MS,
  type WorkerLimits,
} from "../../shared/wire/limits.ts";
import { reflectedPackage, WORKER_SERVICE, workerService } from "../../shared/wire/load_proto.ts";
import type { PortWatch } from "../../shared/wire/port_watch.ts";
import { PLANE_KINDS, type PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { parseListenAddress } from "../listen_address.ts";
import { PlaneHost } from "../plane/plane_host.ts";
import { watchWorker } from "../watch.ts";
import { authorization } from "../security/authorization.ts";
import { TlsCredentials } from "../security/server_credentials.ts";
import {
  NO_SECURITY,
  pageProtection,
  type WorkerSecurity,
  type WorkerTls,
} from "../security/worker_security.ts";
import { WorkerHost } from "../worker_host.ts";
import { boundConnections } from "./bound_connections.ts";
import { workerHandlers } from "./handlers.ts";

/** Time that running calls and sessions get to finish once a worker stops, ms; a supervisor usually kills after 30 s. */
const STOP_GRACE_MS = 10_000;

/** Time that connections get to close after that, ms: their last bytes leave, watchers of health do not hold us up. */
const DISCONNECT_GRACE_MS = 500;

/** Time that a draining worker gives its sessions, ms: with what follows it ends before a supervisor kills after 30 s. */
export const DRAIN_LIMIT_MS = 25_000;

/** Calls on one connection beside sessions and single calls: health, status, reflection. */
const SPARE_STREAMS = 32;

export interface WorkerServerOptions {
  /** The expert to serve, or its coming: until then calls get UNAVAILABLE and health says NOT_SERVING. Stays the caller's to close. */
  readonly expert: BlockExpert | Promise<BlockExpert>;
  /** HOST:PORT; port 0 takes a free one. @default "127.0.0.1:7070" */
  readonly listen?: string;
  /** Allows an address that other machines reach, without credentials. @default false */
  readonly insecure?: boolean;
  /** Certificates and tokens. @default none: whoever connects is let in */
  readonly security?: WorkerSecurity;
  /** Where they differ from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<WorkerLimits>;
  /** Lanes behind the expert, for status. @default 1 */
  readonly lanes?: number;
  /** The U-Net's config.json, for Describe. @default "" */
  readonly configJson?: string;
  /** What the expert computes on, for status. @default what its fingerprint says */
  readonly device?: Device;
  /** Planes to offer to sessions besides gRPC. @default all */
  readonly planes?: readonly PlaneKind[];
  /** Port of the tcp plane. @default a free one */
  readonly planePort?: number;
  /** HOST:PORT of the pages for probes, Prometheus and people; port 0 takes a free one. @default none */
  readonly http?: string;
  /** Longest wait for running calls in `stop()`, ms. @default 10000 */
  readonly stopGraceMs?: number;
}

export interface RunningWorker extends AsyncDisposable {
  /** HOST:PORT with the port that was taken. */
  readonly address: string;
  /** HOST:PORT of the pages, where there are any. */
  readonly httpAddress: string | undefined;
  /** The same with http or https before it. */
  readonly httpUrl: string | undefined;
  /** Settles when the expert is there and calls are answered; rejects if it could not be opened. */
  readonly ready: Promise<void>;
  /**
   * New connections see this certificate, on every port that has TLS; those that are there go on, as do sessions.
   *
   * @throws {TuttiError} FAILED_PRECONDITION or UNAVAILABLE if a port is lost by that: the others have the certificate
   */
  renewTls(tls: WorkerTls): Promise<void>;
  /** What GetStatus answers. */
  status(): WorkerStatus;
  /**
   * Refuses new sessions and lets open ones go on: to another replica at their next step where their client has one, else
   * to their end. Stops when none is left, or after the limit, which cuts off what still runs. Never rejects.
   */
  drain(limitMs?: number): Promise<void>;
  /** Refuses new work, lets running calls finish, closes the port. Never rejects; repeating it waits for the same end. */
  stop(): Promise<void>;
}

/**
 * Starts to listen, and to serve once the expert is there.
 *
 * @throws {UsageError} if the listen address is malformed, or open to others without credentials and `insecure`
 * @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on
 */
export async function startWorkerServer(options: WorkerServerOptions): Promise<RunningWorker> {
  const opening = Promise.resolve(options.expert);
  // It may fail before anyone looks at `ready`.
  opening.catch(() => {});
  const { listen = "127.0.0.1:7070", insecure = false, security = NO_SECURITY } = options;
  const address = parseListenAddress(listen, insecure, security);
  const { http } = options;
  const protection = pageProtection(security);
  const httpAddress = http === undefined ? undefined : parseHttpAddress(http, insecure, protection);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const host = new WorkerHost({
    limits,
    lanes: options.lanes ?? 1,
    configJson: options.configJson ?? "",
    ...(options.device && { device: options.device }),
    hasPages: httpAddress !== undefined,
    planes: await PlaneHost.open({
      planes: options.planes ?? PLANE_KINDS,
      hostname: address.host,
      port: options.planePort ?? 0,
      ...(security.tls && { tls: security.tls.pair }),
    }),
  });
  const health = new HealthImplementation();
  setHealth(health, "NOT_SERVING");
  quietGrpcLog();
  guardHttp2();
  const server = buildServer(host, health, security);
  const flowWindow = openFlowWindow(server);
  const afterBind = boundConnections(server);
  const credentials = security.tls && new TlsCredentials(security.tls);
  const port = await bind(server, formatAddress(address), credentials);
  flowWindow.afterBind();
  const ports = await afterBind();
  const pages = await openPages(httpAddress, { host, server, ports, protection });

  const ready = opening.then((expert) => {
    host.serve(expert);
    if (host.state === "serving") setHealth(health, "SERVING");
  });
  ready.catch(() => {});

  let stopped: Promise<void> | undefined;
  const stop = (graceMs = options.stopGraceMs) => {
    for (const port of ports) port[Symbol.dispose]();
    return stopped ??= stopServer(server, host, health, graceMs)
      .then(() => pages?.[Symbol.asyncDispose]());
  };
  const drain = async (limitMs = DRAIN_LIMIT_MS) => {
    const began = performance.now();
    const end = began + limitMs;
    host.log.drainBegan(limitMs, host.sessions.size);
    setHealth(health, "NOT_SERVING");
    host.beginDrain(limitMs);
    await Promise.race([withinMs(limitMs, host.sessions.empty()), aborted(host.stopping)]);
    const left = host.sessions.size;
    await stop(
      Math.max(0, Math.min(options.stopGraceMs ?? STOP_GRACE_MS, end - performance.now())),
    );
    host.log.drainEnded(performance.now() - began, left);
  };
  return {
    address: formatAddress({ host: address.host, port }),
    httpAddress: pages?.address,
    httpUrl: pages?.url,
    ready,
    async renewTls(tls) {
      credentials?.renew(tls);
      pages?.renewTls(tls.pair);
      await host.planes.renewTls(tls.pair);
    },
    status: () => host.status(),
    drain,
    stop: () => stop(),
    [Symbol.asyncDispose]: () => stop(),
  };
}

/** The pages are there as long as the process lives: while it loads and while it stops, too. */
async function openPages(
  address: Address | undefined,
  { host, server, ports, protection }: {
    readonly host: WorkerHost;
    readonly server: Server;
    readonly ports: readonly PortWatch[];
    readonly protection: PageProtection;
  },
): Promise<WatchServer | undefined> {
  const { metrics } = host;
  if (!address || !metrics) return undefined;
  try {
    return await startWatchServer(address, watchWorker(host, metrics, ports), protection);
  } catch (error) {
    for (const port of ports) port[Symbol.dispose]();
    server.forceShutdown();
    await host.planes.close();
    throw error;
  }
}

function buildServer(
  host: WorkerHost,
  health: HealthImplementation,
  { guard }: WorkerSecurity,
): Server {
  const { limits } = host;
  const server = new Server({
    interceptors: [authorization(guard)],
    "grpc.max_receive_message_length": limits.maxMessageBytes,
    "grpc.max_send_message_length": limits.maxMessageBytes,
    "grpc.max_concurrent_streams": limits.maxSessions + limits.maxWaiting + limits.maxCalls +
      SPARE_STREAMS,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    // Channelz stays on: without it grpc-js 1.14.7 forgets its connections, and a forced shutdown leaves them open.
  });
  server.addService(workerService(), workerHandlers(host));
  health.addToServer(server);
  new ReflectionService(reflectedPackage()).addToServer(server);
  return server;
}

/** Sets the whole server's health and the service's: both names are asked for in the wild. */
function setHealth(health: HealthImplementation, status: ServingStatus): void {
  health.setStatus("", status);
  health.setStatus(WORKER_SERVICE, status);
}

function bind(
  server: Server,
  address: string,
  credentials: ServerCredentials = ServerCredentials.createInsecure(),
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) return resolve(port);
      server.forceShutdown();
      reject(
        new TuttiError(
          "FAILED_PRECONDITION",
          `Cannot listen on ${address}: ${error.message}. Choose another address with --listen; port 0 takes a free one`,
          { cause: error, details: { address } },
        ),
      );
    });
  });
}

async function stopServer(
  server: Server,
  host: WorkerHost,
  health: HealthImplementation,
  graceMs = STOP_GRACE_MS,
): Promise<void> {
  setHealth(health, "NOT_SERVING");
  host.beginStop();
  await withinMs(graceMs, host.idle());
  const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  await withinMs(DISCONNECT_GRACE_MS, closed);
  server.forceShutdown();
  // Whoever was cut off just now still gives its session back.
  await withinMs(DISCONNECT_GRACE_MS, Promise.all([closed, host.idle()]));
  await host.planes.close();
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}

async function withinMs(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
