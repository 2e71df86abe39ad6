/** Asks workers again and again, each at its own pace: one that does not answer holds up no other. @module */

import type { WorkerStatus } from "../../shared/wire/convert_status.ts";
import type { WorkerAnswer, WorkerPlace } from "../discovery/worker_places.ts";
import { RateMeter, type WorkerRates } from "./worker_rates.ts";

/** A worker as it was when it last answered, or did not. */
export interface WatchedWorker extends WorkerPlace {
  /** Undefined until it has answered, or was found not to. */
  readonly last: WorkerAnswer<WorkerStatus> | undefined;
  /** Of its model, as far as it was ever told. */
  readonly name: string | undefined;
  readonly rates: WorkerRates | undefined;
}

interface Poll {
  readonly meter: RateMeter;
  name?: string;
  last?: WorkerAnswer<WorkerStatus>;
  /** While it is being asked. */
  asking?: Promise<void>;
}

export class WorkerPolls {
  readonly #polls = new Map<string, Poll>();
  readonly #ask: (place: WorkerPlace) => Promise<WorkerAnswer<WorkerStatus>>;

  /** @param ask never rejects */
  constructor(ask: (place: WorkerPlace) => Promise<WorkerAnswer<WorkerStatus>>) {
    this.#ask = ask;
  }

  /** Asks these workers, but none that still owes an answer. @returns settles when all have answered */
  async ask(places: readonly WorkerPlace[]): Promise<void> {
    await Promise.all(places.map((place) => {
      const poll = this.#pollOf(place);
      return poll.asking ??= this.#askOne(place, poll);
    }));
  }

  /** In the order of `places`. */
  workers(places: readonly WorkerPlace[]): WatchedWorker[] {
    return places.map((place) => {
      const { last, meter, name = place.announced?.name } = this.#pollOf(place);
      return { ...place, last, name, rates: last && "answer" in last ? meter.rates : undefined };
    });
  }

  async #askOne(place: WorkerPlace, poll: Poll): Promise<void> {
    const answer = await this.#ask(place);
    poll.last = answer;
    if ("answer" in answer) {
      poll.meter.add(answer.answer);
      // Empty while the model loads.
      if (answer.answer.name) poll.name = answer.answer.name;
    }
    delete poll.asking;
  }

  #pollOf({ address }: WorkerPlace): Poll {
    const known = this.#polls.get(address);
    if (known) return known;
    const poll = { meter: new RateMeter() };
    this.#polls.set(address, poll);
    return poll;
  }
}
