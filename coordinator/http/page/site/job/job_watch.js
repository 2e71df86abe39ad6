/**
 * Follows jobs to their ends. Browsers have six connections to a server, for all tabs together: one job has a stream of
 * events, the others are asked for, and nothing is open while nobody looks.
 *
 * @module
 */

import { ask } from "../api/request.js";
import { isEnded, JOB_EVENTS } from "./job_events.js";

const POLL_MS = 1000;
const MANY = 200;

export class JobWatch {
  #onChange;
  #ids = [];
  #jobs = new Map();
  #stream;
  #timer;
  #look = () => this.#begin();

  /** @param onChange told of every change, with the jobs by id; null for one that is gone */
  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", this.#look);
  }

  /** @param known jobs as an answer has just told them */
  set(ids, known = []) {
    this.#ids = ids;
    for (const job of known) this.#jobs.set(job.id, job);
    this.#begin();
  }

  end() {
    document.removeEventListener("visibilitychange", this.#look);
    this.#ids = [];
    this.#begin();
  }

  #begin() {
    clearTimeout(this.#timer);
    const first = this.#open()[0];
    const isSeen = !document.hidden && this.#ids.length > 0;
    if (this.#stream && (!isSeen || this.#stream.job !== first)) this.#closeStream();
    if (!isSeen) return;
    if (first && !this.#stream && this.#isBegun(first)) this.#openStream(first);
    if (this.#open().some((id) => id !== this.#stream?.job)) void this.#poll();
  }

  /** Those that have not ended, or are not known yet. */
  #open() {
    return this.#ids.filter((id) => {
      const job = this.#jobs.get(id);
      return job === undefined || (job !== null && !isEnded(job));
    });
  }

  #isBegun(id) {
    const status = this.#jobs.get(id)?.status;
    return status === "running" || status === "canceling";
  }

  async #poll() {
    try {
      const { jobs } = await ask(
        `GET /api/v1/jobs?limit=${MANY}&status=queued,running,canceling`,
      );
      const there = new Map(jobs.map((job) => [job.id, job]));
      const others = this.#open().filter((id) => id !== this.#stream?.job);
      await Promise.all(others.map(async (id) => this.#put(id, there.get(id) ?? await find(id))));
    } catch {
      // The next one may get through.
    }
    clearTimeout(this.#timer);
    const [first] = this.#open();
    if (first === undefined) return;
    if (!this.#stream && this.#isBegun(first) && !document.hidden) this.#openStream(first);
    this.#timer = setTimeout(this.#look, POLL_MS);
  }

  #openStream(id) {
    const source = new EventSource(`/api/v1/jobs/${id}/events`);
    this.#stream = { job: id, source };
    for (const [kind, change] of Object.entries(JOB_EVENTS)) {
      source.addEventListener(kind, ({ data }) => {
        const job = this.#jobs.get(id);
        if (!job) return;
        this.#put(id, change(job, JSON.parse(data)));
        if (isEnded(this.#jobs.get(id))) this.#begin();
      });
    }
    // It connects again by itself, unless the server has refused it.
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED || this.#stream?.source !== source) return;
      this.#closeStream();
      clearTimeout(this.#timer);
      this.#timer = setTimeout(this.#look, POLL_MS);
    });
  }

  #closeStream() {
    this.#stream.source.close();
    this.#stream = undefined;
  }

  #put(id, job) {
    this.#jobs.set(id, job);
    this.#onChange(new Map(this.#jobs));
  }
}

/** @returns null for one that is gone */
async function find(id) {
  try {
    return await ask(`GET /api/v1/jobs/${id}`);
  } catch (error) {
    if (error.status === 404 || error.status === 410) return null;
    throw error;
  }
}
