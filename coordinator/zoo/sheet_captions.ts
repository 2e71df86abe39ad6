/** What the contact sheet shows: two captions of each bundled expert's own world, and mixed ones. @module */

export const SHEET_CAPTIONS = [
  // round
  "a large red heart on a plain white background",
  "a blue ring left of a pink circle on a plain gray background",
  // square
  "a large green diamond on a plain black background",
  "a yellow cross above a blue square on a plain white background",
  // pointed
  "a large purple star on a plain white background",
  "a red triangle right of a cyan star on a plain black background",
  // of two worlds each
  "a green heart above a yellow square on a plain black background",
  "a red triangle left of a blue circle on a plain white background",
  "a purple star above a green diamond on a plain gray background",
  "a pink ring below a cyan cross on a plain brown background",
] as const;
