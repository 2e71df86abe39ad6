/** Tokens that are changed while a process runs. @module */

import { TuttiError } from "../errors.ts";
import { readTokens, type Token, type TokenFlags } from "./token_file.ts";
import { type RenewalOptions, watchFiles } from "./watch_files.ts";

export interface TokenWatchOptions extends RenewalOptions {
  /** Takes them. @returns whether they are other ones than before */
  readonly renew: (tokens: readonly Token[]) => boolean;
}

/**
 * Looks until the result is disposed of, and keeps no process alive.
 *
 * @returns undefined where no file is given: the environment of a process does not change
 */
export function watchTokenFile(
  { tokenFile }: TokenFlags,
  { renew, warn, note, ...timing }: TokenWatchOptions,
): Disposable | undefined {
  if (tokenFile === undefined) return undefined;
  const take = async () => {
    try {
      if (!renew(await readTokens({ tokenFile }, warn))) return;
    } catch (error) {
      return warn(`${TuttiError.from(error).message}. What was read before stays in use`);
    }
    note(`Calls that begin from now on go by the tokens in ${tokenFile}`);
  };
  return watchFiles([tokenFile], { take, ...timing });
}
