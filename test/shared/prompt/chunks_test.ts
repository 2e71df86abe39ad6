import assert from "node:assert/strict";
import type { PromptPart } from "../../../shared/prompt/attention.ts";
import { chunkPrompt, padChunks, type PromptChunk } from "../../../shared/prompt/chunks.ts";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { zooPath } from "../../support/zoo.ts";

const tokenizer = await ClipTokenizer.load(zooPath("tokenizer"));
const L = 77, ROOM = 75;

const text = (words: string, weight = 1): PromptPart => ({ kind: "text", text: words, weight });
const BREAK: PromptPart = { kind: "break" };
/** As many tokens as asked for; the bundled vocabulary has a token for each of these words. */
const words = (count: number, word = "red") => new Array(count).fill(word).join(" ");

/** What a chunk holds between its markers. */
function content({ inputIds, weights }: PromptChunk): string {
  assert.equal(inputIds.length, weights.length);
  const end = inputIds.indexOf(tokenizer.eosTokenId);
  assert.equal(inputIds[0], tokenizer.bosTokenId);
  assert.ok(inputIds.slice(end).every((id) => id === tokenizer.padTokenId));
  assert.deepEqual([weights[0], ...weights.slice(end)], [1, ...weights.slice(end).fill(1)]);
  return tokenizer.decode(inputIds.slice(1, end));
}

function chunksOf(parts: readonly PromptPart[], length = L): string[] {
  const chunks = chunkPrompt(tokenizer, parts, length);
  assert.ok(chunks.every(({ inputIds }) => inputIds.length === length));
  return chunks.map(content);
}

Deno.test("chunkPrompt() makes one chunk of what fits", () => {
  assert.deepEqual(chunksOf([text("a green heart")]), ["a green heart"]);
  assert.deepEqual(chunksOf([text("")]), [""]);
  assert.deepEqual(chunksOf([text(words(ROOM))]), [words(ROOM)]);
});

Deno.test("chunkPrompt() goes on in another chunk, as often as needed", () => {
  assert.deepEqual(chunksOf([text(words(ROOM + 1))]), [words(ROOM), "red"]);
  assert.deepEqual(chunksOf([text(words(3 * ROOM))]), [words(ROOM), words(ROOM), words(ROOM)]);
});

Deno.test("chunkPrompt() gives every token its part's weight, the markers 1", () => {
  const parts = [text("a"), text("green heart", 1.5), text("on black", 0)];
  const [chunk, ...others] = chunkPrompt(tokenizer, parts, 9);
  assert.deepEqual(others, []);
  assert.deepEqual(chunk!.weights, [1, 1, 1.5, 1.5, 0, 0, 1, 1, 1]);
  assert.equal(content(chunk!), "a green heart on black");
});

Deno.test("chunkPrompt() takes the weights of moved tokens along", () => {
  const parts = [text(words(70) + ","), text(words(10, "blue"), 2)];
  const [first, second] = chunkPrompt(tokenizer, parts, L);
  assert.equal(content(second!), words(10, "blue"));
  assert.deepEqual(second!.weights.slice(0, 12), [1, ...new Array(10).fill(2), 1]);
  assert.ok(first!.weights.every((weight) => weight === 1));
});

// The comma is token 1-based 75 - after of the first chunk; `after` tokens follow it there.
for (
  const { after, moves } of [
    { after: 0, moves: false },
    { after: 1, moves: true },
    { after: 19, moves: true },
    { after: 20, moves: false },
    { after: 40, moves: false },
  ]
) {
  Deno.test(`chunkPrompt() ${moves ? "moves" : "leaves"} ${after} tokens after the last comma`, () => {
    const before = words(ROOM - after - 1) + ", ";
    const prompt = before + words(after, "blue") + " " + words(5, "green");
    const kept = moves ? 0 : after;
    const expected = [
      `${before}${words(kept, "blue")}`.trim(),
      `${words(after - kept, "blue")} ${words(5, "green")}`.trim(),
    ];
    const spaced = (chunk: string) => chunk.replaceAll(" ,", ",").replaceAll(/\s+/g, " ");
    assert.deepEqual(chunksOf([text(prompt)]).map(spaced), expected.map(spaced));
  });
}

Deno.test("chunkPrompt() does not look for a comma where the next token is one", () => {
  const prompt = `${words(70)}, ${words(4, "blue")}, green`;
  assert.deepEqual(
    chunkPrompt(tokenizer, [text(prompt)], L).map(({ inputIds }) =>
      inputIds.indexOf(tokenizer.eosTokenId) - 1
    ),
    [ROOM, 2],
  );
});

Deno.test("chunkPrompt() does not look back beyond a chunk's beginning", () => {
  // The comma of the first chunk must not break the second one.
  const prompt = `${words(60)}, ${words(20, "blue")} ${words(100, "green")}`;
  const lengths = chunkPrompt(tokenizer, [text(prompt)], L)
    .map(({ inputIds }) => inputIds.indexOf(tokenizer.eosTokenId) - 1);
  assert.deepEqual(lengths, [61, 75, 45]);
});

Deno.test("chunkPrompt() looks back in proportion in encoders of another length", () => {
  // 22 tokens, of which the last 6 count: 5 may follow the comma.
  const lengths = (after: number) =>
    chunkPrompt(tokenizer, [text(`${words(21 - after)}, ${words(after + 1)}`)], 24)
      .map(({ inputIds }) => inputIds.indexOf(tokenizer.eosTokenId) - 1);
  assert.deepEqual(lengths(5), [17, 6]);
  assert.deepEqual(lengths(6), [22, 1]);
});

Deno.test("chunkPrompt() ends a chunk at a break", () => {
  assert.deepEqual(chunksOf([text("red"), BREAK, text("blue")]), ["red", "blue"]);
  assert.deepEqual(chunksOf([text("red"), BREAK, text("")]), ["red"]);
  assert.deepEqual(chunksOf([text(""), BREAK, text("red")]), ["", "red"]);
  assert.deepEqual(chunksOf([text("red"), BREAK, BREAK, text("blue")]), ["red", "", "blue"]);
  assert.deepEqual(chunksOf([text(words(ROOM)), BREAK, text("blue")]), [words(ROOM), "blue"]);
  assert.deepEqual(chunksOf([BREAK]), [""]);
});

Deno.test("chunkPrompt() splits even where an encoder takes one token at a time", () => {
  assert.deepEqual(chunksOf([text("red, blue")], 3), ["red", ",", "blue"]);
});

for (const length of [2, 0, -1, 3.5, NaN, Infinity]) {
  Deno.test(`chunkPrompt() refuses chunks of ${length} tokens`, () => {
    assert.throws(() => chunkPrompt(tokenizer, [text("red")], length), {
      code: "INVALID_ARGUMENT",
      message: `Prompt chunks must have a whole number of tokens >= 3: current value is ${length}`,
    });
  });
}

Deno.test("padChunks() gives the shorter prompt empty chunks", () => {
  const long = chunkPrompt(tokenizer, [text(words(2 * ROOM + 1), 2)], L);
  const short = chunkPrompt(tokenizer, [text("blue")], L);
  const [first, second] = padChunks([long, short], tokenizer, L);
  assert.deepEqual(first, long);
  assert.deepEqual(second!.map(content), ["blue", "", ""]);
  assert.deepEqual(padChunks([short, short], tokenizer, L), [short, short]);
});
