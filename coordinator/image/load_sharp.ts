/** libvips, by the `sharp` package: loaded when the first file comes that needs it. @module */

import { TuttiError } from "../../shared/errors.ts";

/** @throws {TuttiError} UNIMPLEMENTED if the native library does not load */
export async function loadSharp() {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    throw new TuttiError(
      "UNIMPLEMENTED",
      `JPEG, WebP and unusual PNG images need the native library of the "sharp" package, which does not load here: ` +
        `"magick mogrify -format png -depth 8 *" converts a folder`,
      { cause },
    );
  }
}
