/** Jobs as they are at the moment, for a view. @module */

import { useEffect, useRef, useState } from "preact/hooks";
import { JobWatch } from "./job_watch.js";

/** @param known jobs as an answer has just told them @returns by id; undefined until it is known, null when it is gone */
export function useJobs(ids, known) {
  const [jobs, setJobs] = useState(new Map());
  const watch = useRef();
  useEffect(() => {
    watch.current = new JobWatch(setJobs);
    return () => watch.current.end();
  }, []);
  const key = ids.join(",");
  useEffect(() => {
    watch.current.set(ids, known);
    if (known.length > 0) {
      setJobs((before) => new Map([...before, ...known.map((job) => [job.id, job])]));
    }
  }, [key, known]);
  return jobs;
}
