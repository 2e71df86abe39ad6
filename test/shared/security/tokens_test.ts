import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { parseTokens, readTokens } from "../../../shared/security/token_file.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const [OLD, NEW, ADMIN, READER] = ["old", "new", "admin", "reader"].map((name) =>
  `${name}-0123456789abcdef`
) as [string, string, string, string];

Deno.test("readTokens() reads lines of role:token, and warns of a file that others can read", async () => {
  await using folder = await tempFolder();
  const tokenFile = folder.join("tokens");
  await writeFile(tokenFile, `# rotating\nclient:${OLD}\r\nclient:${NEW}\n\n${ADMIN}\n`, {
    mode: 0o600,
  });
  const warnings: string[] = [];
  const read = () => readTokens({ tokenFile }, (text) => void warnings.push(text));
  assert.deepEqual(await read(), [
    { role: "client", secret: OLD },
    { role: "client", secret: NEW },
    { role: "admin", secret: ADMIN },
  ]);
  assert.deepEqual(warnings, []);
  await chmod(tokenFile, 0o644);
  await read();
  assert.match(warnings.join(), /tokens" holds a secret and has mode 644/);
  await assert.rejects(readTokens({ tokenFile: folder.join("gone") }, () => {}), {
    name: "FormatError",
    message: /gone" cannot be read$/,
  });
});

Deno.test("parseTokens() names the line of a mistake and never what stands there", () => {
  const cases: [string, RegExp][] = [
    [`client:${OLD}\nroot:${NEW}`, /^file, line 2: the role before ":" must be one of client, adm/],
    ["client:short-secret", /^file, line 1: the token must be 16 to 512 .* current length is 12$/],
    [`client:${NEW} and more`, /current length is 29$/],
    ["# nothing\n", /^file must hold a token/],
    ["x".repeat(70_000), /^file must have at most 65536 bytes/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseTokens(text, "file"), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(!/0123456789|short-secret|xxx/.test(error.message));
      return true;
    });
  }
});

Deno.test("TokenGuard lets a token do what its role may, and says to others which one is needed", () => {
  const guard = new TokenGuard(
    parseTokens(`client:${OLD}\nclient:${NEW}\nadmin:${ADMIN}\nmetrics:${READER}`, "file"),
  );
  const ask = (secret: string | undefined, ...roles: ("client" | "metrics" | "admin")[]) =>
    guard.check(secret && `Bearer ${secret}`, roles, "Drain");
  for (const secret of [OLD, NEW, ADMIN]) ask(secret, "client");
  for (const secret of [READER, ADMIN]) ask(secret, "metrics");
  ask(READER, "client", "metrics");
  ask(ADMIN, "admin");
  assert.throws(() => ask(OLD, "admin"), {
    code: "PERMISSION_DENIED",
    message: "Drain needs a token of role admin: this one has role client",
  });
  const unknown = { code: "UNAUTHENTICATED" };
  for (const secret of [undefined, `${OLD}x`, OLD.slice(1), "Bearer", ""]) {
    assert.throws(() => ask(secret, "client"), unknown);
  }
  assert.throws(() => guard.check(`Basic ${OLD}`, ["client"], "Drain"), unknown);
  // Without tokens there is nothing to show.
  new TokenGuard([]).check(undefined, ["admin"], "Drain");
});
