/**
 * Who may do what: compares the token that comes with a call to those that are known. With no token known, everyone may do
 * everything; then the address, or certificates, keep others away.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { TuttiError } from "../errors.ts";
import { isDeepStrictEqual } from "node:util";
import type { Role, Token } from "./token_file.ts";

interface KnownToken {
  readonly role: Role;
  readonly hash: Uint8Array;
}

/** Who has a known token. */
export interface Bearer {
  /** SHA-256 of the token, hex. */
  readonly tokenHash: string;
  readonly roles: ReadonlySet<Role>;
}

/** What a pass is made with, so that no other use of the same key gives the same bytes. */
const PASS = "tutti pass 1";

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
    const bearer = this.bearerOf(secret);
    if (!bearer) {
      throw new TuttiError(
        "UNAUTHENTICATED",
        `${what} needs a token that is known here, and this one is not: compare --token-file or TUTTI_TOKEN ` +
          "with the worker's",
        { details: { needs: allowed.join(",") } },
      );
    }
    checkRole(bearer, allowed, what);
  }

  /** @returns undefined if the token is not known */
  bearerOf(secret: string): Bearer | undefined {
    return this.#find(hashOf(secret), ({ hash }) => hash);
  }

  /**
   * A stand-in for a token, for a browser to keep: whoever finds it learns no token. It is good for as long as the token is known.
   *
   * @returns base64url
   */
  passOf({ tokenHash }: Bearer): string {
    return passFor(Buffer.from(tokenHash, "hex")).toString("base64url");
  }

  /** @returns undefined if it is the pass of no known token */
  bearerOfPass(pass: string): Bearer | undefined {
    return this.#find(Buffer.from(pass, "base64url"), ({ hash }) => passFor(hash));
  }

  /** Takes as long whichever matches: bytes of equal length, all of them compared. */
  #find(wanted: Uint8Array, bytesOf: (known: KnownToken) => Uint8Array): Bearer | undefined {
    const found = this.#known.filter((known) => {
      const bytes = bytesOf(known);
      return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
    });
    if (found.length === 0) return undefined;
    return {
      tokenHash: Buffer.from(found[0]!.hash).toString("hex"),
      roles: new Set(found.map(({ role }) => role)),
    };
  }
}

/** @throws {TuttiError} PERMISSION_DENIED with none of the roles; `admin` always will do */
export function checkRole({ roles }: Bearer, allowed: readonly Role[], what: string): void {
  if (roles.has("admin") || allowed.some((role) => roles.has(role))) return;
  throw new TuttiError(
    "PERMISSION_DENIED",
    `${what} needs a token of role ${allowed.join(" or ")}: this one has role ${
      [...roles].join(" and ")
    }`,
    { details: { needs: allowed.join(","), role: [...roles].join(",") } },
  );
}

function passFor(tokenHash: Uint8Array) {
  return createHmac("sha256", tokenHash).update(PASS).digest();
}

function hashOf(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}
