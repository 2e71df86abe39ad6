/** Certificates for tests: good ones, and ones that are wrong in one way each. @module */

import { Authority } from "../../coordinator/certs/authority.ts";
import type { KeyPair } from "../../shared/security/tls_files.ts";

const HOUR_MS = 60 * 60 * 1000;

export const VALID = { from: new Date(Date.now() - HOUR_MS), to: new Date(Date.now() + HOUR_MS) };
export const EXPIRED = {
  from: new Date(Date.now() - 2 * HOUR_MS),
  to: new Date(Date.now() - HOUR_MS),
};

export interface TestCerts {
  /** Authority of the cluster, and a stranger's. */
  readonly authority: Authority;
  readonly stranger: Authority;
  readonly worker: KeyPair;
  readonly coordinator: KeyPair;
}

let made: Promise<TestCerts> | undefined;

/** Made once for all tests of a process. */
export function testCerts(): Promise<TestCerts> {
  return made ??= make();
}

async function make(): Promise<TestCerts> {
  const authority = await Authority.create("the cluster's authority", VALID);
  return {
    authority,
    stranger: await Authority.create("a stranger's authority", VALID),
    worker: await authority.issue("worker", ["localhost", "127.0.0.1"], VALID, {
      isClient: false,
    }),
    coordinator: await authority.issue("coordinator", ["localhost"], VALID),
  };
}
