/** Server-sent events as tests look at them. @module */

export interface Event {
  readonly id?: string;
  readonly event: string;
  // deno-lint-ignore no-explicit-any -- each test says what it expects
  readonly data: any;
}

/** The events of a stream, as they come. */
export async function* eventsOf(response: Response): AsyncGenerator<Event> {
  let text = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (text + piece).split("\n\n");
    text = parts.pop()!;
    for (const part of parts) {
      const fields = part.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2));
      const { data, ...event } = Object.fromEntries(fields);
      yield { ...event, data: JSON.parse(data) };
    }
  }
}
