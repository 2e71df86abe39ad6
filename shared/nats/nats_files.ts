/**
 * The files with which a process logs in to NATS. They are read anew before each attempt to connect: a process may run for
 * longer than a certificate or credentials are good, and loses its server now and then.
 *
 * @module
 */

import { FormatError, TuttiError, UsageError } from "../errors.ts";
import { readRegularFile } from "../regular_file.ts";
import { checkPrivate } from "../security/private_file.ts";
import { readTlsFiles, type TlsFiles } from "../security/tls_files.ts";
import type { NatsFlags } from "./nats_flags.ts";

type Warn = (text: string) => void;

const FLAGS = { cert: "--nats-cert", key: "--nats-key", ca: "--nats-ca" };

export class NatsFiles {
  readonly #flags: NatsFlags;
  /** What renewing has told, so that a server that is away for an hour is not a warning every other second. */
  readonly #told = new Set<string>();
  #creds: Uint8Array | undefined;
  #tls: TlsFiles | undefined;

  private constructor(flags: NatsFlags) {
    this.#flags = flags;
  }

  /**
   * @param warn told of a file that others can read
   * @throws {UsageError} if the credentials cannot be read
   * @throws {FormatError} naming the file of TLS and what is wrong with it
   */
  static async read(flags: NatsFlags, warn: Warn): Promise<NatsFiles> {
    const files = new NatsFiles(flags);
    await files.#read(warn);
    return files;
  }

  /** Content of a `.creds` file: instead of the URL's login. */
  get creds(): Uint8Array | undefined {
    return this.#creds;
  }

  /** For a server with TLS: its authority, and what the client shows. */
  get tls(): TlsFiles | undefined {
    return this.#tls;
  }

  /**
   * Reads them again. Where they cannot be used, as while one is being written, what was read before stays.
   *
   * @param warn told why they cannot be used, once for each reason
   * @param areCreds whether the library can log in with them
   */
  async renew(warn: Warn, areCreds: (creds: Uint8Array) => boolean): Promise<void> {
    const [tls, creds] = [this.#tls, this.#creds];
    const warnOnce = (text: string) => {
      if (!this.#told.has(text)) warn(text);
      this.#told.add(text);
    };
    try {
      await this.#read(warnOnce);
      if (this.#creds && !areCreds(this.#creds)) {
        throw new FormatError(`--nats-creds "${this.#flags.natsCreds}" holds no NATS credentials`);
      }
    } catch (error) {
      [this.#tls, this.#creds] = [tls, creds];
      warnOnce(`${TuttiError.from(error).message}. What was read before stays in use`);
    }
  }

  async #read(warn: Warn): Promise<void> {
    const { natsCreds, natsCa, natsCert, natsKey } = this.#flags;
    const paths = {
      ...(natsCa && { tlsCa: natsCa }),
      ...(natsCert && { tlsCert: natsCert }),
      ...(natsKey && { tlsKey: natsKey }),
    };
    const tls = await readTlsFiles(paths, warn, FLAGS);
    const creds = natsCreds ? await readCreds(natsCreds, warn) : undefined;
    [this.#tls, this.#creds] = [tls, creds];
  }
}

async function readCreds(path: string, warn: Warn): Promise<Uint8Array> {
  await checkPrivate(path, warn).catch(() => {});
  return await readRegularFile(path).catch((cause) => {
    throw new UsageError(`--nats-creds must be a file: "${path}" cannot be read`, { cause });
  });
}
