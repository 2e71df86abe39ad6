/** The prompt, with its length in tokens and its weights as the experts read them. @module */

import { Field } from "../parts/field.js";
import { html } from "../parts/html.js";
import { useReading } from "./prompt_reading.js";

export function PromptField({ name, label, rows, values, onChange, error }) {
  const text = values[name];
  const reading = useReading(text, values.ensemble, values.others.prompt_syntax);
  const write = ({ target }) => onChange({ [name]: target.value });
  const control = (tied) =>
    html`<textarea ...${tied} rows=${rows} value=${text} onInput=${write}></textarea>`;
  const warnings = reading?.warnings?.map((each) => html`<p class="warning">${each}</p>`);
  return html`
    <${Field} name=${name} label=${label} error=${error ?? reading?.error?.message}
      aside=${html`<${TokenCount} ...${reading} />`} control=${control} />
    <${Weights} parts=${reading?.parts} />
    ${warnings}
  `;
}

function TokenCount({ tokens, chunks, chunk_tokens: room }) {
  if (tokens === undefined) return null;
  return html`<span class="hint number">${tokens} / ${chunks * room} tokens</span>`;
}

/** Only where there are some. */
function Weights({ parts = [] }) {
  if (parts.every((part) => part?.weight === 1)) return null;
  const pieces = parts.map((part) => {
    if (part === null) return html`<span class="break">BREAK</span>`;
    if (part.weight === 1) return part.text;
    const weight = Number(part.weight.toFixed(2));
    return html`<mark class=${
      weight > 1 ? "more" : "less"
    }>${part.text}<sub>${weight}</sub></mark>`;
  });
  return html`<p class="weights" aria-label="Weights of the prompt">${pieces}</p>`;
}
