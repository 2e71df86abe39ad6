/** Certificates, keys and authorities that are renewed while a process runs. @module */

import { TuttiError } from "../errors.ts";
import { readTlsFiles, type TlsFiles, type TlsPaths } from "./tls_files.ts";
import { type RenewalOptions, watchFiles } from "./watch_files.ts";

export interface TlsWatchOptions extends RenewalOptions {
  /** Takes what is new. What it throws is told, too. */
  readonly renew: (files: TlsFiles) => Promise<void> | void;
}

/**
 * Looks until the result is disposed of, and keeps no process alive.
 *
 * @param used what was read of the files when the process started
 */
export function watchTlsFiles(
  paths: TlsPaths,
  used: TlsFiles,
  { renew, warn, note, ...timing }: TlsWatchOptions,
): Disposable {
  const { tlsCert, tlsKey, tlsCa } = paths;
  const take = async () => {
    let files: TlsFiles;
    try {
      files = (await readTlsFiles(paths, warn))!;
    } catch (error) {
      return warn(`${TuttiError.from(error).message}. What was read before stays in use`);
    }
    try {
      await renew(files);
    } catch (error) {
      return warn(`New certificates cannot be used everywhere: ${TuttiError.from(error).message}`);
    }
    note(`New connections use what is new in ${[tlsCert, tlsCa].filter(Boolean).join(" and ")}`);
  };
  const { pair, ca } = used;
  return watchFiles([tlsCert, tlsKey, tlsCa], {
    ...{ take, used: [pair?.cert, pair?.key, ca] },
    ...timing,
  });
}
