/** The groups in which a command's help shows its options, in this order. @module */

export const HELP_GROUPS = [
  "Options",
  "Basics",
  "Prompt",
  "Experts",
  "Method",
  "Training",
  "Aggregators",
  "Measuring",
  "Computing",
  "Network",
  "Security",
  "Files",
  "Reports",
] as const;

export type HelpGroup = typeof HELP_GROUPS[number];

/** As Commander takes it. */
export function headingOf(group: HelpGroup): string {
  return `${group}:`;
}
