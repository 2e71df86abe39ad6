/** Jobs of some states, the newest first, page by page. @module */

import { useCallback, useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";

const AT_A_TIME = 48;

/** @param states as the API's query has them, with commas @returns `jobs` is undefined until the first are there */
export function useHistory(states) {
  const [state, setState] = useState({});
  const first = `/api/v1/jobs?limit=${AT_A_TIME}&status=${states}`;
  const load = useCallback(async (address, before) => {
    try {
      const { jobs, next } = await ask(`GET ${address}`);
      // The next address does not say which states are asked for.
      setState({ states, jobs: [...before, ...jobs], next: next && `${next}&status=${states}` });
    } catch (error) {
      setState((old) => ({ ...old, states, error }));
    }
  }, [states]);
  useEffect(() => void load(first, []), [load, first]);
  const { jobs, next, error } = state.states === states ? state : {};
  return {
    jobs,
    error,
    hasMore: Boolean(next),
    more: () => load(next ?? first, jobs ?? []),
    forget: (id) => setState((old) => ({ ...old, jobs: old.jobs.filter((job) => job.id !== id) })),
  };
}
