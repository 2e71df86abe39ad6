/**
 * Who may do what: compares the token that comes with a call to those that are known. With no token known, everyone may do
 * everything; then the address, or certificates, keep others away.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { TuttiError } from "../errors.ts";
import { isDeepStrictEqual } from "node:util";
import type { Role, Token } from "./token_file.ts";

interface KnownToken {
  readonly role: Role;
  readonly hash: Uint8Array;
}

export class TokenGuard {
  #known: readonly KnownToken[] = [];

  constructor(tokens: readonly Token[]) {
    this.renew(tokens);
  }

  /** From now on these are known, and no others. @returns whether that makes a difference */
  renew(tokens: readonly Token[]): boolean {
    const before = this.#known;
    this.#known = tokens.map(({ role, secret }) => ({ role, hash: hashOf(secret) }));
    return !isDeepStrictEqual(this.#known, before);
  }

  /** Whether a token is needed at all. */
  get isOn(): boolean {
    return this.#known.length > 0;
  }

  /**
   * @param header value of `authorization`, as it came
   * @param allowed roles of which one is needed; `admin` always will do
   * @param what to be done, as in "opening a session"
   * @throws {TuttiError} UNAUTHENTICATED without a known token, PERMISSION_DENIED with one of another role
   */
  check(header: string | undefined, allowed: readonly Role[], what: string): void {
    if (!this.isOn) return;
    const secret = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1];
    if (secret === undefined) {
      throw new TuttiError(
        "UNAUTHENTICATED",
        `${what} needs a token: give one of role ${
          allowed.join(" or ")
        } with --token-file or TUTTI_TOKEN`,
        { details: { needs: allowed.join(",") } },
      );
    }
    const roles = this.#rolesOf(secret);
    if (roles.size === 0) {
      throw new TuttiError(
        "UNAUTHENTICATED",
        `${what} needs a token that is known here, and this one is not: compare --token-file or TUTTI_TOKEN ` +
          "with the worker's",
        { details: { needs: allowed.join(",") } },
      );
    }
    if (roles.has("admin") || allowed.some((role) => roles.has(role))) return;
    throw new TuttiError(
      "PERMISSION_DENIED",
      `${what} needs a token of role ${allowed.join(" or ")}: this one has role ${
        [...roles].join(" and ")
      }`,
      { details: { needs: allowed.join(","), role: [...roles].join(",") } },
    );
  }

  /** Takes as long whichever matches: hashes of equal length, all of them compared. */
  #rolesOf(secret: string): ReadonlySet<Role> {
    const hash = hashOf(secret);
    return new Set(
      this.#known.filter((known) => timingSafeEqual(known.hash, hash)).map(({ role }) => role),
    );
  }
}

function hashOf(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}
