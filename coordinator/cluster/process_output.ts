/** Reads what child processes print. @module */

/** Characters kept of a worker's standard error: enough for its message. */
const TAIL_CHARACTERS = 4_000;

/** The lines of a stream, without their ends. */
export async function* readLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/** The end of a stream: reading goes on, so that the writer never waits, and the beginning is forgotten. */
export class Tail {
  #text = "";

  get text(): string {
    return this.#text;
  }

  async collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#text = (this.#text + text).slice(-TAIL_CHARACTERS);
    }
  }
}
