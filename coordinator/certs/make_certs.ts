/**
 * The files of `tutti certs`: an authority, a certificate for workers and one for coordinators, and tokens.
 *
 * @module
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import { UsageError } from "../../shared/errors.ts";
import { ROLES } from "../../shared/security/token_file.ts";
import { Authority } from "./authority.ts";

export interface CertsOptions {
  /** Names and addresses of worker machines, beside this one's loopback. */
  readonly hosts: readonly string[];
  readonly days: number;
}

export interface MadeCerts {
  /** Names in the folder. */
  readonly files: readonly string[];
  readonly expires: Date;
}

const LOOPBACK = ["localhost", "127.0.0.1", "::1"];
/** 256 random bits. */
const TOKEN_BYTES = 32;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of a cluster differ. */
const CLOCK_SKEW_MS = 5 * 60 * 1000;

/** @throws {UsageError} if a host is none, or a file is there already: then nothing is written */
export async function makeCerts(
  folder: string,
  { hosts, days }: CertsOptions,
  now = new Date(),
): Promise<MadeCerts> {
  const validity = {
    from: new Date(now.getTime() - CLOCK_SKEW_MS),
    to: new Date(now.getTime() + days * DAY_MS),
  };
  const authority = await Authority.create("Tutti test authority", validity);
  const worker = await authority.issue("tutti worker", [...LOOPBACK, ...hosts], validity, {
    isClient: false,
  });
  const coordinator = await authority.issue("tutti coordinator", LOOPBACK, validity);
  const tokens = ROLES.map((role) => ({ role, secret: randomSecret() }));
  const contents: Record<string, string> = {
    "ca.pem": authority.cert,
    "ca.key": authority.key,
    "worker.pem": worker.cert,
    "worker.key": worker.key,
    "coordinator.pem": coordinator.cert,
    "coordinator.key": coordinator.key,
    "tokens": tokens.map(({ role, secret }) => `${role}:${secret}\n`).join(""),
  };
  for (const { role, secret } of tokens) contents[`${role}.token`] = `${secret}\n`;
  await writeNew(folder, contents);
  return { files: Object.keys(contents), expires: validity.to };
}

async function writeNew(folder: string, contents: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of Object.keys(contents)) {
    const path = join(folder, name);
    if (!await exists(path)) continue;
    throw new UsageError(
      `"${path}" is there already, and is not overwritten: name another folder, or move the files away`,
    );
  }
  for (const [name, text] of Object.entries(contents)) {
    await writeFile(join(folder, name), text, { mode: 0o600, flag: "wx" });
  }
}

function randomSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
