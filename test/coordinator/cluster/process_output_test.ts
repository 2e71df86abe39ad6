import assert from "node:assert/strict";
import { readLines, Tail } from "../../../coordinator/cluster/process_output.ts";

/** A stream of these chunks. */
function streamOf(
  chunks: readonly Uint8Array<ArrayBuffer>[],
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(chunks);
}

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("readLines() finds the same lines wherever the stream is cut", async () => {
  const text = '{"event":"ready"}\n\näöü 漢字\nno end';
  const bytes = encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const lines = await Array.fromAsync(
      readLines(streamOf([bytes.slice(0, cut), bytes.slice(cut)])),
    );
    assert.deepEqual(lines, text.split("\n"), `cut at ${cut}`);
  }
  const bytewise = await Array.fromAsync(
    readLines(streamOf(Array.from(bytes, (b) => Uint8Array.of(b)))),
  );
  assert.deepEqual(bytewise, text.split("\n"));
});

Deno.test("readLines() gives no line for an empty stream, and none after a last line break", async () => {
  assert.deepEqual(await Array.fromAsync(readLines(streamOf([]))), []);
  assert.deepEqual(await Array.fromAsync(readLines(streamOf([encode("a\n")]))), ["a"]);
});

Deno.test("Tail keeps the end of a stream and reads on to its end", async () => {
  const tail = new Tail();
  const chunks = Array.from({ length: 100 }, (_, i) => encode(`${"x".repeat(99)}${i % 10}`));
  await tail.collect(streamOf([...chunks, encode("last words")]));
  assert.ok(tail.text.endsWith("9last words"), tail.text.slice(-20));
  assert.ok(tail.text.length >= 1_000 && tail.text.length <= 10_000, String(tail.text.length));
});
