/** The CLIP tokenizer: ids of each prompt, bare and padded, must be equal. Tensors are the prompts. @module */

import { join } from "node:path";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import { compareNumbers, type Comparison } from "../check.ts";

interface ExpectedIds {
  readonly max_length: number;
  readonly cases: readonly {
    readonly text: string;
    readonly ids: readonly number[];
    readonly padded: readonly number[];
  }[];
}

export async function checkTokenizer(folder: string): Promise<Comparison[]> {
  const tokenizer = await ClipTokenizer.load(folder);
  const expected = JSON.parse(
    await Deno.readTextFile(join(folder, "expected_ids.json")),
  ) as ExpectedIds;
  return expected.cases.flatMap(({ text, ids, padded }) => {
    const { inputIds } = encodePrompt(tokenizer, text, expected.max_length);
    return [
      compareNumbers(JSON.stringify(text), tokenizer.encode(text), ids),
      compareNumbers(`${JSON.stringify(text)}, padded`, inputIds, padded),
    ];
  });
}
