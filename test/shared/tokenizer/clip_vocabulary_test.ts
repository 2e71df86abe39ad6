/**
 * The real CLIP vocabulary (49,408 tokens) is OpenAI's and no part of this repository; where a copy
 * stands beside it, the ids are compared with those of OpenAI's own tokenizer.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";

const DIR = join(import.meta.dirname!, "../../../../shared/goldens/clip_tokenizer");

interface Golden {
  readonly max_length: number;
  readonly cases: readonly { text: string; ids: number[]; padded: number[] }[];
}

Deno.test({
  name: "ClipTokenizer gives OpenAI's ids with the real CLIP vocabulary",
  ignore: !existsSync(join(DIR, "vocab.json")),
  async fn(t) {
    const golden: Golden = JSON.parse(await Deno.readTextFile(join(DIR, "expected_ids.json")));
    const tokenizer = await ClipTokenizer.load(DIR);
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
