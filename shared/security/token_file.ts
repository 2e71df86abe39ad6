/**
 * Tokens: shared secrets that say what their bearer may do. They come from a file or the environment, never from the
 * command line, which every user of the machine can read; no message of ours contains one.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { readRegularText } from "../regular_file.ts";
import { checkPrivate } from "./private_file.ts";

/** What a token is for: using models, running the cluster, reading figures. `admin` may do what the others may, too. */
export const ROLES = ["client", "admin", "metrics"] as const;
export type Role = typeof ROLES[number];

export interface Token {
  readonly role: Role;
  readonly secret: string;
}

export interface TokenFlags {
  readonly tokenFile?: string;
}

/** Name of the environment variable that holds tokens where there is no file. */
export const TOKEN_ENV = "TUTTI_TOKEN";

const MAX_BYTES = 64 * 1024;
/** Of RFC 6750's bearer tokens; long enough that nobody guesses one. */
const SECRET = /^[A-Za-z0-9._~+/-]{16,512}=*$/;
const SECRET_RULE = "16 to 512 letters, digits and ._~+/-";

/**
 * The tokens of `--token-file`, else of `TUTTI_TOKEN`.
 *
 * @param warn told of a file that others can read
 * @throws {FormatError} naming file and line
 */
export async function readTokens(
  { tokenFile }: TokenFlags,
  warn: (text: string) => void,
): Promise<readonly Token[]> {
  if (tokenFile === undefined) {
    const text = Deno.env.get(TOKEN_ENV);
    return text ? parseTokens(text.replaceAll(",", "\n"), TOKEN_ENV) : [];
  }
  let text: string;
  try {
    text = await readRegularText(tokenFile);
  } catch (cause) {
    throw new FormatError(`--token-file "${tokenFile}" cannot be read`, {
      cause,
      details: { file: tokenFile },
    });
  }
  await checkPrivate(tokenFile, warn);
  return parseTokens(text, `--token-file "${tokenFile}"`);
}

/**
 * Reads lines of `role:token`; a token alone may do everything. Empty lines and those that begin with `#` are passed over.
 *
 * @param source for messages
 */
export function parseTokens(text: string, source: string): readonly Token[] {
  if (text.length > MAX_BYTES) {
    throw new FormatError(`${source} must have at most ${MAX_BYTES} bytes of tokens`);
  }
  const tokens = text.split(/\r?\n/).flatMap((line, index) => {
    const trimmed = line.trim();
    return trimmed === "" || trimmed.startsWith("#")
      ? []
      : [parseLine(trimmed, `${source}, line ${index + 1}`)];
  });
  if (tokens.length > 0) return tokens;
  throw new FormatError(`${source} must hold a token: lines of role:token, or a token alone`);
}

/** What is wrong is said without what is there: that is a secret, if a wrong one. */
function parseLine(line: string, where: string): Token {
  const colon = line.indexOf(":");
  const [name, secret] = colon < 0
    ? ["admin", line]
    : [line.slice(0, colon), line.slice(colon + 1)];
  const role = ROLES.find((known) => known === name);
  if (role === undefined) {
    throw new FormatError(`${where}: the role before ":" must be one of ${ROLES.join(", ")}`);
  }
  if (!SECRET.test(secret)) {
    throw new FormatError(
      `${where}: the token must be ${SECRET_RULE}: current length is ${secret.length}`,
    );
  }
  return { role, secret };
}
