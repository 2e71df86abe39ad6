/** How the experts read a prompt, a moment after somebody has written it. @module */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";

const PAUSE_MS = 300;

/** @returns what `/api/v1/tokens` says, or its `error`; undefined until that is known */
export function useReading(prompt, ensemble, syntax) {
  const [reading, setReading] = useState();
  useEffect(() => {
    let isCurrent = true;
    const timer = setTimeout(async () => {
      const body = { prompt, ensemble, ...(syntax && { prompt_syntax: syntax }) };
      const found = await ask("POST /api/v1/tokens", body).catch((error) => ({ error }));
      if (isCurrent) setReading(found);
    }, PAUSE_MS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [prompt, ensemble, syntax]);
  return reading;
}
