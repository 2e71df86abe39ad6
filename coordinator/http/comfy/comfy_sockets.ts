/** `/ws`: what happens to a client's jobs, as ComfyUI's server tells it. A client that connects again hears the rest. @module */

import { acceptWebSocket, type WebSocket } from "../../../shared/http/web_socket.ts";
import { jobPreviews } from "../runtime/job_previews.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { JobChange, LiveJob } from "../runtime/live_job.ts";
import type { Call } from "../server/route.ts";
import type { ServedJob } from "../store/served_job.ts";
import { askedOf, DIALECT, outputsOf, unfinishedOf } from "./comfy_jobs.ts";

interface Client {
  readonly owner: string;
  readonly id: string;
  readonly socket: WebSocket;
}

/** ComfyUI's head of a binary message: PREVIEW_IMAGE (1), of the kind PNG (2); each of 32 bits, big-endian. */
const PREVIEW_HEAD = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2);

/** What waits to be sent to a client that reads no more, in bytes: then it is let go. */
const MAX_BUFFERED = 2 ** 20;

export class ComfySockets {
  readonly #runtime: JobRuntime;
  readonly #clients = new Set<Client>();

  /** Jobs of a server that was here before are told of, too. */
  constructor(runtime: JobRuntime) {
    this.#runtime = runtime;
    for (const live of runtime.unfinished) {
      if (live.job.dialect === DIALECT) this.follow(live);
    }
    runtime.draining.addEventListener("abort", () => {
      for (const { socket } of this.#clients) socket.close(1001, "The server is stopping");
    });
  }

  /** The answer that makes a connection of a request. */
  connect({ request, url, caller: { owner } }: Call): Response {
    const id = url.searchParams.get("clientId") || crypto.randomUUID();
    return acceptWebSocket(request, (socket) => {
      const client: Client = { owner, id, socket };
      this.#clients.add(client);
      // Clients have nothing to say here.
      socket.once("close", () => this.#clients.delete(client));
      send(client, "status", { status: this.#status(owner), sid: id });
      this.#resume(client);
    });
  }

  /** Tells whoever gave a job of it, until it has ended. */
  follow(live: LiveJob): void {
    void (async () => {
      const { signal } = new AbortController();
      this.#tellStatus(live.job.owner);
      let before: JobChange | undefined;
      for await (const { data } of live.events.after(0, signal)) {
        this.#tell(data, before);
        before = data;
      }
      this.#tellStatus(live.job.owner);
    })();
  }

  #tell({ kind, job, progress }: JobChange, before: JobChange | undefined): void {
    const { nodes } = askedOf(job);
    const say = (type: string, data: object = {}) => this.#say(job, type, data);
    const timestamp = Date.now();
    if (kind === "status" && job.state === "running") {
      say("execution_start", { timestamp });
      say("execution_cached", { nodes: [], timestamp });
      return say("executing", { node: nodes.sampler, display_node: nodes.sampler });
    }
    if (kind === "progress") {
      if (progress.stepsDone === 0) return;
      say("progress", { node: nodes.sampler, value: progress.stepsDone, max: progress.steps });
      void this.#preview(job).catch(() => {/* Whoever watches sees the next one. */});
      if (progress.stepsDone < progress.steps) return;
      return say("executing", { node: nodes.decoder, display_node: nodes.decoder });
    }
    if (job.state === "succeeded") {
      for (const [node, output] of Object.entries(outputsOf(job))) {
        say("executing", { node, display_node: node });
        say("executed", { node, display_node: node, output });
      }
      say("execution_success", { timestamp });
    }
    const at = { node_id: nodes.sampler, node_type: "KSampler", executed: [] };
    if (job.state === "canceled") say("execution_interrupted", { ...at, timestamp });
    if (job.state === "failed") {
      const { kind: exception_type, message } = job.error!;
      const error = { exception_type, exception_message: message, traceback: [] };
      say("execution_error", {
        ...at,
        ...error,
        current_inputs: {},
        current_outputs: [],
        timestamp,
      });
    }
    // It waits for nothing else.
    const hasBegun = before?.job.state !== "queued";
    if (job.endedAt !== undefined && hasBegun) say("executing", { node: null });
  }

  /** To the connections of the client that gave the job. */
  #say(job: ServedJob, type: string, data: object): void {
    for (const client of this.#watchersOf(job)) send(client, type, { ...data, prompt_id: job.id });
  }

  #watchersOf(job: ServedJob): Client[] {
    const { clientId } = askedOf(job);
    return [...this.#clients].filter(({ owner, id }) => owner === job.owner && id === clientId);
  }

  /** Of the first picture; made only where somebody watches. */
  async #preview(job: ServedJob): Promise<void> {
    const live = this.#runtime.live(job.id);
    if (!live || this.#watchersOf(job).length === 0) return;
    const [file] = await jobPreviews(this.#runtime.ensembles, live) ?? [];
    if (!file) return;
    const message = new Uint8Array(PREVIEW_HEAD.length + file.length);
    message.set(PREVIEW_HEAD);
    message.set(file, PREVIEW_HEAD.length);
    for (const client of this.#watchersOf(job)) sendBytes(client, message);
  }

  /** The node that is drawn by now, for a client that was away. */
  #resume(client: Client): void {
    const jobs = unfinishedOf(this.#runtime, client);
    for (const job of jobs.filter((job) => askedOf(job).clientId === client.id)) {
      if (job.state === "queued") continue;
      const { nodes: { sampler } } = askedOf(job);
      send(client, "executing", { node: sampler, display_node: sampler, prompt_id: job.id });
    }
  }

  #status(owner: string) {
    return { exec_info: { queue_remaining: unfinishedOf(this.#runtime, { owner }).length } };
  }

  #tellStatus(owner: string): void {
    for (const client of this.#clients) {
      if (client.owner === owner) send(client, "status", { status: this.#status(owner) });
    }
  }
}

function send(client: Client, type: string, data: object): void {
  sendBytes(client, JSON.stringify({ type, data }));
}

function sendBytes({ socket }: Client, message: string | Uint8Array): void {
  if (socket.readyState !== socket.OPEN) return;
  if (socket.bufferedAmount > MAX_BUFFERED) return socket.close(1008, "Messages are not read");
  socket.send(message);
}
