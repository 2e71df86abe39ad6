/**
 * Relatives of LoRA that change weights by something else than a product of two matrices. Each shows by a key that
 * only it has (names of LyCORIS and PEFT).
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import { show } from "../../show.ts";

const OTHER_KINDS: readonly (readonly [RegExp, string])[] = [
  [/^bundle_emb\./, "a LoRA with embeddings of its own, which its trigger words stand for"],
  [/\.hada_t[12]$/, "a LoHa with a third matrix (Tucker decomposition)"],
  [/\.lokr_t[12]$/, "a LoKr with a third matrix (Tucker decomposition)"],
  [/\.lora_mid\./, "a LoCon with a third matrix (Tucker decomposition)"],
  [/\.oft_(blocks|diag)/, "an OFT"],
  [/\.[ab][12]\.weight$/, "a GLoRA"],
  [/\.on_input$/, "an (IA)3"],
  [/\.(diff|diff_b|w_norm|b_norm)$/, "a full difference of weights"],
  [/\.lora_embedding_[AB]/, "a LoRA of embeddings"],
  [/\.(lora_up|lora_B|lora\.up|lora_linear_layer\.up)(\.\w+)?\.bias$/, "a LoRA with biases"],
];

/** @throws {FormatError} naming the kind and the key that shows it */
export function refuseOtherKinds(path: string, keys: Iterable<string>): void {
  for (const key of keys) {
    const kind = OTHER_KINDS.find(([pattern]) => pattern.test(key));
    if (!kind) continue;
    throw new FormatError(
      `LoRA ${show(path)} is not supported: this is ${kind[1]} (key ${show(key)}); ` +
        "Tutti merges LoRA, LoHa, LoKr and DoRA, layers of a U-Net and its text encoders alone",
    );
  }
}
