/** The mean of a model's weights over its last steps, which draws better pictures than any of them. @module */

/**
 * How much of the average so far stays: less in the first updates, so that a short run does not keep the random weights it began
 * with.
 *
 * @param update its number, 1 for the first
 * @param decay what it becomes
 */
export function averageDecay(update: number, decay: number): number {
  return Math.min(decay, update / (update + 9));
}

/** `average = decay average + (1 - decay) value`, in place. */
export function moveAverage(average: Float32Array, value: Float32Array, decay: number): void {
  for (let i = 0; i < average.length; i++) {
    average[i] = decay * average[i]! + (1 - decay) * value[i]!;
  }
}
