/** The flag of commands that draw: how long they wait for room on workers that are full. @module */

import { Option } from "commander";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { wholeNumber } from "../../shared/terminal/whole_number.ts";
import { Patience } from "../cluster/admission_retry.ts";

export interface WaitFlags {
  /** Seconds. */
  readonly wait: number;
}

/** About an image on a graphics card, so that one run waits for another; a script hears of an overload within a minute. */
const DEFAULT_WAIT_SECONDS = 30;

export function waitOption(): Option {
  return new Option(
    "--wait <seconds>",
    "longest wait, in all, for room on workers that are full; 0 fails at once",
  ).argParser(wholeNumber("--wait", 0)).default(DEFAULT_WAIT_SECONDS)
    .helpGroup(headingOf("Network"));
}

/** @param tell told once, for a person who waits */
export function patienceOf(
  { wait }: WaitFlags,
  tell: (text: string) => void,
  signal?: AbortSignal,
): Patience {
  let isTold = false;
  return new Patience({
    waitMs: wait * 1000,
    signal,
    onRefusal: ({ message }) => {
      if (!isTold) tell(`Waiting up to ${wait} s for room: ${message}`);
      isTold = true;
    },
  });
}
