/** Jobs that are given to a server which dies now and then, and what has become of them. @module */

interface Job {
  readonly id: string;
  readonly status: string;
  readonly completed_at: string | null;
  readonly seeds: readonly string[];
  readonly outputs: readonly { readonly hash: string; readonly url: string }[];
}

interface Page {
  readonly jobs: readonly Job[];
  readonly next: string | null;
}

interface Given {
  readonly key: string;
  readonly seed: number;
  /** Undefined until the server has answered. */
  id?: string;
  /** When it had ended, as the server has said first. */
  endedAt?: string;
}

/** So many are unfinished at any time. */
const UNFINISHED = 4;
/** Between two looks at the server, ms. */
const LOOK_MS = 50;

export class GivenJobs {
  readonly #body: object;
  readonly #pictures: ReadonlyMap<number, string>;
  readonly #given: Given[] = [];
  readonly #problems: string[] = [];
  /** Whether the server of now has answered. */
  isReached = false;
  isDrawing = false;

  /** @param pictures SHA-256 of what each seed's picture must be */
  constructor(body: object, pictures: ReadonlyMap<number, string>) {
    this.#body = body;
    this.#pictures = pictures;
  }

  /** Keeps a server busy until it is killed, which is when `signal` fires. */
  async keepGiving(ready: Promise<string>, signal: AbortSignal): Promise<void> {
    this.isReached = this.isDrawing = false;
    try {
      const url = await ready;
      while (!signal.aborted) {
        const unfinished = (await this.#look(url)).filter(({ completed_at }) => !completed_at);
        this.isDrawing = unfinished.some(({ status }) => status === "running");
        this.isReached = true;
        const unanswered = this.#given.find(({ id }) => id === undefined);
        if (unanswered) await this.#give(url, unanswered);
        else if (unfinished.length < UNFINISHED) await this.#give(url, this.#next());
        else await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    } catch (error) {
      // Only a server that is dead may not answer; one that is about to be killed is heard of first here.
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (!signal.aborted) this.#problems.push(`the server did not answer: ${error}`);
    }
  }

  /** Waits until all have ended. */
  async finish(url: string): Promise<{ readonly given: number; readonly problems: string[] }> {
    for (const each of this.#given.filter(({ id }) => id === undefined)) {
      await this.#give(url, each);
    }
    let jobs = await this.#look(url);
    while (jobs.some(({ completed_at }) => !completed_at)) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      jobs = await this.#look(url);
    }
    const problems = this.#problems;
    if (jobs.length !== this.#given.length) {
      problems.push(`${this.#given.length} jobs were given, and there are ${jobs.length}`);
    }
    for (const { id, seed } of this.#given) {
      const job = jobs.find((each) => each.id === id);
      if (!job) {
        problems.push(`job ${id} is lost`);
        continue;
      }
      const { status, outputs: [output, ...more] } = job;
      if (status !== "succeeded" || !output || more.length > 0) {
        problems.push(`job ${id} is ${status} with ${job.outputs.length} pictures`);
        continue;
      }
      const bytes = await (await fetch(`${url}${output.url}`)).bytes();
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
      if (hash !== this.#pictures.get(seed) || output.hash !== `sha256:${hash}`) {
        problems.push(`job ${id} of seed ${seed} has other bits than tutti sample: ${hash}`);
      }
    }
    return { given: this.#given.length, problems };
  }

  #next(): Given {
    const seeds = [...this.#pictures.keys()];
    const index = this.#given.length;
    const given = { key: `job-${index}`, seed: seeds[index % seeds.length]! };
    this.#given.push(given);
    return given;
  }

  async #give(url: string, given: Given): Promise<void> {
    const response = await fetch(`${url}/api/v1/jobs`, {
      method: "POST",
      headers: { "idempotency-key": given.key },
      body: JSON.stringify({ ...this.#body, seed: given.seed }),
    });
    const text = await response.text();
    if (response.status === 202) given.id = (JSON.parse(text) as Job).id;
    else this.#problems.push(`${given.key} was answered with ${response.status}: ${text}`);
  }

  /** All jobs; what has ended must stay as it is. */
  async #look(url: string): Promise<readonly Job[]> {
    const jobs: Job[] = [];
    let path: string | null = "/api/v1/jobs?limit=100";
    while (path) {
      const page: Page = await (await fetch(`${url}${path}`)).json();
      jobs.push(...page.jobs);
      path = page.next;
    }
    for (const { id, completed_at } of jobs) {
      const given = this.#given.find((each) => each.id === id);
      if (given?.endedAt !== undefined && given.endedAt !== completed_at) {
        this.#problems.push(`job ${id} ended at ${given.endedAt} and at ${completed_at}`);
      }
      if (given && completed_at) given.endedAt = completed_at;
    }
    return jobs;
  }
}
