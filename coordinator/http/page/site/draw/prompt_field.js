/** The prompt, with its length in tokens and its weights as the experts read them. @module */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { Field } from "../parts/field.js";
import { html } from "../parts/html.js";

const PAUSE_MS = 300;

/** How a prompt is read; undefined until that is known. */
function useReading(prompt, ensemble, syntax) {
  const [reading, setReading] = useState();
  useEffect(() => {
    let isCurrent = true;
    const timer = setTimeout(async () => {
      try {
        const body = { prompt, ensemble, ...(syntax && { prompt_syntax: syntax }) };
        const found = await ask("POST /api/v1/tokens", body);
        if (isCurrent) setReading(found);
      } catch (error) {
        if (isCurrent) setReading({ error });
      }
    }, PAUSE_MS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [prompt, ensemble, syntax]);
  return reading;
}

export function PromptField({ name, label, rows, values, onChange, error }) {
  const reading = useReading(values[name], values.ensemble, values.others.prompt_syntax);
  const wrong = error ?? reading?.error?.message;
  return html`
    <${Field} name=${name} label=${label} error=${wrong} aside=${html`<${TokenCount} ...${reading} />`}
      control=${(tied) =>
        html`
          <textarea ...${tied} rows=${rows} value=${values[name]}
            onInput=${({ target }) => onChange({ [name]: target.value })}></textarea>
        `} />
    <${Weights} parts=${reading?.parts} />
    ${reading?.warnings?.map((text) => html`<p class="warning">${text}</p>`)}
  `;
}

function TokenCount({ tokens, chunks, chunk_tokens: room }) {
  if (tokens === undefined) return null;
  return html`<span class="hint number">${tokens} / ${chunks * room} tokens</span>`;
}

/** Only where there are some. */
function Weights({ parts = [] }) {
  if (!parts.some((part) => part === null || part.weight !== 1)) return null;
  return html`<p class="weights" aria-label="Weights of the prompt">
    ${
    parts.map((part) =>
      part === null
        ? html`
          <span class="break">BREAK</span>
        `
        : part.weight === 1
        ? part.text
        : html`<mark class=${part.weight > 1 ? "more" : "less"}>${part.text}<sub>${
          Number(part.weight.toFixed(2))
        }</sub></mark>`
    )
  }
  </p>`;
}
