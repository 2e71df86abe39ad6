/**
 * An operator of NATS, with one account: signs credentials of users, as `nsc` does, and says what a server's configuration
 * needs to know to take them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { nkeys } from "nats";

type KeyPair = ReturnType<typeof nkeys.createUser>;

const UNLIMITED = -1;
const ACCOUNT_LIMITS = ["subs", "data", "payload", "imports", "exports", "conn", "leaf"];
const JETSTREAM_LIMITS = ["mem_storage", "disk_storage", "streams", "consumer"];

export class NatsOperator {
  readonly #operator = nkeys.createOperator();
  readonly #account = nkeys.createAccount();
  readonly #system = nkeys.createAccount();

  /** Lines of a server's configuration. */
  get config(): string {
    // A server takes no JetStream in its system's account.
    const accounts = [
      this.#accountEntry(this.#account, [...ACCOUNT_LIMITS, ...JETSTREAM_LIMITS]),
      this.#accountEntry(this.#system, ACCOUNT_LIMITS),
    ];
    return [
      `operator: ${sign(this.#operator, this.#operator, { type: "operator" })}`,
      `system_account: ${this.#system.getPublicKey()}`,
      "resolver: MEMORY",
      `resolver_preload: { ${accounts.join(", ")} }`,
    ].join("\n");
  }

  /** Content of a `.creds` file. @param lifeSeconds until they expire */
  creds(lifeSeconds: number): string {
    const user = nkeys.createUser();
    const claims = { type: "user", subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED };
    const seed = new TextDecoder().decode(user.getSeed());
    return block("NATS USER JWT", sign(this.#account, user, claims, lifeSeconds)) +
      block("USER NKEY SEED", seed);
  }

  #accountEntry(account: KeyPair, unlimited: readonly string[]): string {
    const limits = Object.fromEntries(unlimited.map((name) => [name, UNLIMITED]));
    const claims = { type: "account", limits: { ...limits, wildcards: true } };
    return `${account.getPublicKey()}: ${sign(this.#operator, account, claims)}`;
  }
}

/** A JWT as NATS has them: signed with Ed25519 under a name of its own. */
function sign(
  issuer: KeyPair,
  subject: KeyPair,
  claims: Record<string, unknown>,
  lifeSeconds = 3600,
): string {
  const now = Math.floor(Date.now() / 1000);
  const sub = subject.getPublicKey();
  const payload = {
    ...{ jti: sub, iat: now, exp: now + lifeSeconds, iss: issuer.getPublicKey(), sub, name: sub },
    nats: { ...claims, version: 2 },
  };
  const parts = [{ typ: "JWT", alg: "ed25519-nkey" }, payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url")
  );
  const signature = issuer.sign(Buffer.from(parts.join(".")));
  return [...parts, Buffer.from(signature).toString("base64url")].join(".");
}

function block(title: string, text: string): string {
  return `-----BEGIN ${title}-----\n${text}\n------END ${title}------\n\n`;
}
