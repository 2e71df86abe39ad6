/** `POST /api/v1/tokens`: how long a prompt is for the text encoder, and how its weights are read. @module */

import { firstText } from "../../../shared/engine/choose_text.ts";
import { readPrompt } from "../../../shared/prompt/read_prompt.ts";
import { SETTINGS } from "../../settings/settings.ts";
import { readPrompt as readPromptField, readSetting } from "../runtime/job_request.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import { type JsonObject, readJsonObject } from "../server/request_body.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Call, Route } from "../server/route.ts";
import { chosenEnsemble } from "./job_body.ts";

export function tokenRoute({ ensembles }: JobRuntime): Route {
  return {
    method: "POST",
    path: "/api/v1/tokens",
    handle: async ({ request }: Call) => {
      const body: JsonObject = await readJsonObject(request);
      const { ensemble: { tokenizers: [tokenizer], experts } } = chosenEnsemble(body, ensembles);
      const { maxLength } = firstText(experts[0]!.description);
      const syntax = body.prompt_syntax ?? SETTINGS.promptSyntax.default;
      const { chunks, parts, warnings } = readPrompt(tokenizer, {
        name: "Prompt",
        text: readPromptField(body.prompt),
        syntax: readSetting("promptSyntax", syntax, "prompt_syntax"),
        maxLength,
      });
      const { eosTokenId } = tokenizer;
      return jsonResponse({
        // Between begin and end.
        tokens: chunks.reduce((sum, { inputIds }) => sum + inputIds.indexOf(eosTokenId) - 1, 0),
        chunks: chunks.length,
        chunk_tokens: maxLength - 2,
        parts: parts.map((part) =>
          part.kind === "text" ? { text: part.text, weight: part.weight } : null
        ),
        warnings,
      });
    },
  };
}
