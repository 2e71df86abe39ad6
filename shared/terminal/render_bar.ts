/**
 * The text of a progress bar: a pure function of its state.
 *
 * @module
 */

import { displayWidth, oneLine, truncate } from "./display_width.ts";
import { styles } from "./sgr.ts";
import { formatClock } from "./units.ts";

export interface BarState {
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
  readonly label: string;
  /** Width of the terminal. The bar stays one column below it: a full line would wrap. */
  readonly columns: number;
  /** Time left. Default: elapsed time a step, times the steps left. */
  readonly remainingMs?: number;
  readonly colour?: boolean;
}

const MAX_BAR = 30;
const MIN_BAR = 8;
const MIN_LABEL = 8;

/** Time left at the average pace so far; undefined before the first step. */
function averageRemainingMs({ done, total, elapsedMs }: BarState): number | undefined {
  return done > 0 ? (elapsedMs / done) * (total - done) : undefined;
}

/** `23/50  46%` and `0:12, 0:14 left`. */
function figures(state: BarState): { count: string; times: string } {
  const { done, total, elapsedMs, remainingMs = averageRemainingMs(state) } = state;
  // Rounded down, so that 100 % means done.
  const percent = total > 0 ? Math.floor(100 * Math.min(1, done / total)) : 100;
  const padded = String(done).padStart(String(total).length);
  const left = done < total && remainingMs !== undefined
    ? `, ${formatClock(remainingMs)} left`
    : "";
  return {
    count: `${padded}/${total} ${String(percent).padStart(3)}%`,
    times: `${formatClock(elapsedMs)}${left}`,
  };
}

/**
 * One line without a line break, at most `columns - 1` columns wide. Where room is short the bar goes
 * first, then the times, then the end of the label.
 *
 * @example
 * ```text
 * Sampling ━━━━━━━━━━━━━━────────────────  23/50  46%  0:12, 0:14 left
 * ```
 */
export function renderBar(state: BarState): string {
  const room = Math.max(0, state.columns - 1);
  const label = oneLine(state.label).trim();
  const { count, times } = figures(state);

  const fixed = `  ${count}  ${times}`;
  const barRoom = room - Math.min(displayWidth(label), 2 * MAX_BAR) - 1 - fixed.length;
  if (barRoom >= MIN_BAR) {
    const width = Math.min(MAX_BAR, barRoom);
    const share = state.total > 0 ? Math.max(0, Math.min(1, state.done / state.total)) : 1;
    const filled = Math.floor(share * width);
    const { green, dim } = styles(state.colour ?? false);
    const bar = (filled > 0 ? green("━".repeat(filled)) : "") +
      (filled < width ? dim("─".repeat(width - filled)) : "");
    return `${truncate(label, 2 * MAX_BAR)} ${bar}${fixed}`;
  }
  for (const tail of [fixed, `  ${count}`]) {
    const labelRoom = room - tail.length;
    if (labelRoom >= Math.min(MIN_LABEL, displayWidth(label))) {
      return truncate(label, labelRoom) + tail;
    }
  }
  return truncate(count, room);
}

/** The same figures for a log: one line, no bar, no limit of width. */
export function renderLine(state: BarState): string {
  const { count, times } = figures(state);
  return `${oneLine(state.label).trim()} ${count.replaceAll(/ +/g, " ").trim()}, ${times}`;
}
