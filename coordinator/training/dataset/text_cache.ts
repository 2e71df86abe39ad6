/** Every expert's states of the texts, computed once and kept on disk. @module */

import type { Expert } from "../../../shared/engine/expert.ts";
import { concatRows } from "../../../shared/tensor/tensor.ts";
import { encodePrompts, type PromptEmbeds } from "../../sampling/prompt_embeds.ts";
import type { InputIds } from "../../sampling/text_states.ts";
import type { TensorCache } from "./tensor_cache.ts";

export interface TextRow {
  readonly inputIds: InputIds;
  /** Stands for no text at all: SDXL was trained with zeros for it. */
  readonly isDropped: boolean;
}

export interface TextCacheOptions {
  readonly cache: TensorCache;
  /** What SDXL's second tokenizer pads with. */
  readonly secondPadId?: number;
}

export class TextCache {
  readonly #experts: readonly Expert[];
  readonly #options: TextCacheOptions;

  constructor(experts: readonly Expert[], options: TextCacheOptions) {
    this.#experts = experts;
    this.#options = options;
  }

  /** For this expert alone. */
  ofExpert(index: number): TextCache {
    return new TextCache(this.#experts.slice(index, index + 1), this.#options);
  }

  /** @returns per expert, one row per input row */
  embeds(rows: readonly TextRow[], signal?: AbortSignal): Promise<PromptEmbeds[]> {
    return Promise.all(this.#experts.map(async (expert) => {
      const embeds: PromptEmbeds[] = [];
      // One row a call: the bits must not depend on what else was missing.
      for (const row of rows) embeds.push(await this.#embed(expert, row, signal));
      const pooled = embeds.flatMap(({ pooledPromptEmbeds }) => pooledPromptEmbeds ?? []);
      return {
        promptEmbeds: concatRows(embeds.map(({ promptEmbeds }) => promptEmbeds)),
        ...(pooled.length > 0 && { pooledPromptEmbeds: concatRows(pooled) }),
      };
    }));
  }

  async #embed(
    expert: Expert,
    { inputIds, isDropped }: TextRow,
    signal: AbortSignal | undefined,
  ): Promise<PromptEmbeds> {
    const { cache, secondPadId } = this.#options;
    const { modelHash, pooledPromptDim, fingerprint } = expert.description;
    const { device, precision, graphHash } = fingerprint;
    const isZero = isDropped && pooledPromptDim > 0;
    const key = [
      "text",
      modelHash,
      // The same weights under another configuration are another model.
      graphHash,
      device,
      precision,
      secondPadId ?? "",
      String(isZero),
      ...inputIds,
    ];
    const names = ["prompt_embeds", ...(pooledPromptDim > 0 ? ["pooled_prompt_embeds"] : [])];
    const tensors = await cache.get(key, names, async () => {
      const { promptEmbeds, pooledPromptEmbeds } = await encodePrompts(expert, [inputIds], {
        clipSkip: 1,
        zeroRows: [isZero],
        ...(secondPadId !== undefined && { secondPadId }),
        ...(signal && { signal }),
      });
      return {
        prompt_embeds: promptEmbeds,
        ...(pooledPromptEmbeds && { pooled_prompt_embeds: pooledPromptEmbeds }),
      };
    });
    const { prompt_embeds, pooled_prompt_embeds } = tensors;
    return {
      promptEmbeds: prompt_embeds!,
      ...(pooled_prompt_embeds && { pooledPromptEmbeds: pooled_prompt_embeds }),
    };
  }
}
