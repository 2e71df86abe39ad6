/** What the API says, for as long as a view shows it. @module */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./request.js";

/**
 * @param everyMs how often it is asked again while somebody looks; undefined for once
 * @returns `value` (undefined until it is there), `error`, `again()`
 */
export function useAsked(line, everyMs) {
  const [state, setState] = useState({});
  const current = useRef(line);
  current.current = line;
  const again = useCallback(async () => {
    try {
      const value = await ask(line);
      if (current.current === line) setState({ line, value });
    } catch (error) {
      if (current.current === line) setState((before) => ({ ...before, line, error }));
    }
  }, [line]);
  useEffect(() => {
    void again();
    if (everyMs === undefined) return undefined;
    const timer = setInterval(() => document.hidden || again(), everyMs);
    return () => clearInterval(timer);
  }, [again, everyMs]);
  const { value, error } = state.line === line ? state : {};
  return { value, error, again };
}
