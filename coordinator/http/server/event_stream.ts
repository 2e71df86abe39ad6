/** Server-sent events (HTML standard, section 9.2). @module */

export interface ServerSentEvent {
  readonly event?: string;
  readonly id?: number;
  /** Anything that JSON can hold, or a text as it is; no line break. */
  readonly data: unknown;
}

/** A comment is sent that often, so that proxies let a quiet stream live and a client that is gone is noticed. */
const HEARTBEAT_MS = 15_000;

/** @param events ended when the client goes away, by the signal that it gets */
export function eventStreamResponse(
  events: (signal: AbortSignal) => AsyncIterable<ServerSentEvent>,
): Response {
  const gone = new AbortController();
  const encoder = new TextEncoder();
  let heartbeat: ReturnType<typeof setInterval> | undefined;
  const stop = () => {
    clearInterval(heartbeat);
    gone.abort();
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (text: string) => {
        if (!gone.signal.aborted) controller.enqueue(encoder.encode(text));
      };
      heartbeat = setInterval(() => send(": still there\n\n"), HEARTBEAT_MS);
      Deno.unrefTimer(heartbeat);
      // Not awaited: the stream is there from the first event on.
      void (async () => {
        try {
          for await (const event of events(gone.signal)) send(eventText(event));
          if (!gone.signal.aborted) controller.close();
        } catch (error) {
          if (!gone.signal.aborted) controller.error(error);
        } finally {
          stop();
        }
      })();
    },
    cancel: stop,
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream",
      // nginx would else wait until its buffer is full.
      "x-accel-buffering": "no",
    },
  });
}

function eventText({ event, id, data }: ServerSentEvent): string {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return [
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(event === undefined ? [] : [`event: ${event}`]),
    `data: ${text}\n\n`,
  ].join("\n");
}
