/**
 * CLIP's vocabulary (49,408 tokens) comes with a package; its ids are compared with those of OpenAI's own tokenizer, where
 * these stand beside the repository, as those of the folder there are. What no folder is needed for is tested always.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { clipTokenizerFiles } from "../../../shared/tokenizer/clip_tables.ts";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";

const DIR = join(import.meta.dirname!, "../../../../shared/goldens/clip_tokenizer");

interface Golden {
  readonly max_length: number;
  readonly cases: readonly { text: string; ids: number[]; padded: number[] }[];
}

for (const [name, dir] of [["a folder of the real vocabulary", DIR], ["CLIP's own", undefined]]) {
  Deno.test({
    name: `ClipTokenizer gives OpenAI's ids with ${name}`,
    ignore: !existsSync(join(DIR, "vocab.json")),
    async fn(t) {
      const golden: Golden = JSON.parse(await Deno.readTextFile(join(DIR, "expected_ids.json")));
      const tokenizer = await ClipTokenizer.load(dir);
      assert.equal(tokenizer.modelMaxLength, golden.max_length);
      assert(golden.cases.length >= 17);
      for (const { text, ids, padded } of golden.cases) {
        await t.step(JSON.stringify(text.slice(0, 60)), () => {
          assert.deepEqual(tokenizer.encode(text), ids);
          const { inputIds, cutText } = encodePrompt(tokenizer, text, golden.max_length);
          assert.deepEqual(inputIds, padded);
          const cutTokens = Math.max(0, ids.length + 2 - golden.max_length);
          assert.equal(cutText, tokenizer.decode(ids.slice(ids.length - cutTokens)));
          assert.equal(cutText === "", cutTokens === 0);
        });
      }
    },
  });
}

Deno.test("CLIP's own tables are all that its vocabulary has, in its order", async () => {
  const { vocabulary, merges, special } = await clipTokenizerFiles();
  const idOf = (token: string) => vocabulary.get(token);
  assert.deepEqual([vocabulary.size, merges.length], [49408, 49408 - 2 * 256 - 2]);
  // Bytes, bytes at a word's end, merges, marks.
  assert.deepEqual(["!", "!</w>", merges[0]!.join(""), merges.at(-1)!.join("")].map(idOf), [
    0,
    256,
    512,
    49405,
  ]);
  assert.deepEqual([special.bos, special.eos].map(idOf), [49406, 49407]);
  assert.equal(special.pad, special.eos);
});

Deno.test("CLIP's own tokenizer padded with 0 is that of SDXL's second encoder", async () => {
  const second = await ClipTokenizer.load(undefined, { padTokenId: 0 });
  const { inputIds } = encodePrompt(second, "a photo of a cat", 9);
  assert.deepEqual(inputIds, [49406, 320, 1125, 539, 320, 2368, 49407, 0, 0]);
});
