import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { TuttiError } from "../../../shared/errors.ts";
import { Nats } from "../../../shared/nats/connect.ts";
import type { NatsFlags } from "../../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../../shared/nats/nats_options.ts";
import type { KeyPair } from "../../../shared/security/tls_files.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { eventually } from "../../support/serve_expert.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { testCerts, VALID } from "../../support/test_certs.ts";

const LOGIN = { user: "amy", password: "SECRET s@fe" };

async function connect(flags: NatsFlags): Promise<Nats> {
  return await Nats.connect((await natsOptions(flags, "a test"))!);
}

/** Fails if it connects, or if what it says contains a secret. */
async function refusal(flags: NatsFlags): Promise<TuttiError> {
  const error = await connect(flags).then(() => assert.fail("it connected"), (error) => error);
  assert.ok(error instanceof TuttiError, String(error));
  assert.doesNotMatch(Deno.inspect(error), /SECRET|PRIVATE KEY/);
  return error;
}

/** Writes files, and gives the flags that name them. */
async function clientFlags(
  folder: TempFolder,
  name: string,
  { ca, pair }: { readonly ca?: string; readonly pair?: KeyPair },
): Promise<NatsFlags> {
  const put = async (end: string, text: string) => {
    await writeFile(folder.join(`${name}.${end}`), text, { mode: 0o600 });
    return folder.join(`${name}.${end}`);
  };
  return {
    ...(ca !== undefined && { natsCa: await put("ca", ca) }),
    ...(pair && { natsCert: await put("pem", pair.cert), natsKey: await put("key", pair.key) }),
  };
}

testWithNats(
  "Nats.connect() over TLS trusts --nats-ca alone, for the address that was given",
  async () => {
    const { authority, stranger, worker } = await testCerts();
    await using folder = await tempFolder();
    const ca = await clientFlags(folder, "good", { ca: authority.cert });
    await using server = await NatsServer.start({ login: LOGIN, tls: { pair: worker } });
    const nats = server.urlFor(LOGIN);
    for (const url of [nats, nats.replace("nats:", "tls:")]) {
      await using connection = await connect({ nats: url, ...ca });
      await connection.jetStream();
    }
    const strangers = await clientFlags(folder, "stranger", { ca: stranger.cert });
    for (const flags of [{}, strangers]) {
      const { code, message } = await refusal({ nats, ...flags });
      assert.equal(code, "FAILED_PRECONDITION");
      assert.match(message, /TLS failed .* Give the authority that signed .* with --nats-ca$/);
    }
    const gone = await refusal({ nats, natsCa: folder.join("gone.pem") });
    assert.match(gone.message, /^--nats-ca ".*gone\.pem" cannot be used: there is no such file$/);

    // The library alone would have taken it for "localhost" to be right, and for 127.0.0.1 to be wrong.
    const pair = await authority.issue("nats", ["localhost", "10.0.0.5"], VALID);
    await server.configure({ login: LOGIN, tls: { pair } });
    await server.restart();
    const other = await refusal({ nats, ...ca });
    assert.match(other.message, /127\.0\.0\.1 is not in .* Call the server by a name of its/);
    const byIp = await authority.issue("nats", ["127.0.0.1"], VALID);
    await server.configure({ login: LOGIN, tls: { pair: byIp } });
    await server.restart();
    // Closed before the server goes: the library's wait for another attempt would outlive the test.
    await (await connect({ nats, ...ca }))[Symbol.asyncDispose]();

    await server.configure({ login: LOGIN });
    await server.restart();
    const plain = await refusal({ nats, ...ca });
    assert.match(plain.message, /disagree about TLS/);
  },
);

testWithNats(
  "Nats.connect() shows a server with mTLS its certificate and its login, and again after each loss",
  async () => {
    const { authority, stranger, worker, coordinator } = await testCerts();
    await using folder = await tempFolder();
    const ca = authority.cert;
    const flags = await clientFlags(folder, "good", { ca, pair: coordinator });
    const tls = { pair: worker, clientCa: ca };
    await using server = await NatsServer.start({ login: LOGIN, tls });
    const nats = server.urlFor(LOGIN);
    await using connection = await connect({ nats, ...flags });
    await connection.jetStream();
    await server.kill();
    await eventually(() => !connection.isConnected);
    await server.restart();
    await eventually(() => connection.isConnected);
    await connection.jetStream();

    const wrong = await refusal({
      nats: server.urlFor({ ...LOGIN, password: "SECRET" }),
      ...flags,
    });
    assert.equal(wrong.code, "UNAUTHENTICATED");
    const theirs = await stranger.issue("stranger", ["localhost"], VALID);
    const refused = await Promise.all([
      refusal({ nats, ...await clientFlags(folder, "none", { ca }) }),
      refusal({ nats, ...await clientFlags(folder, "theirs", { ca, pair: theirs }) }),
    ]);
    for (const { code, message } of refused) {
      // The reason that the server gives is lost where it hangs up on what was said meanwhile.
      assert.match(`${code} ${message}`, /FAILED_PRECONDITION|UNAVAILABLE/);
      assert.match(message, /with --nats-cert and --nats-key$|\(--nats-cert and --nats-key\)$/);
    }
    // One whose certificate is refused on the way back waits, and comes back.
    await server.configure({ login: LOGIN, tls: { ...tls, clientCa: stranger.cert } });
    await server.restart();
    await eventually(() => !connection.isConnected);
    const seen = (await server.log()).match(/TLS handshake error/g)?.length ?? 0;
    await eventually(async () =>
      ((await server.log()).match(/TLS handshake error/g)?.length ?? 0) > seen + 1
    );
    await server.configure({ login: LOGIN, tls });
    await server.restart();
    await eventually(() => connection.isConnected);
    await connection.jetStream();
  },
);

testWithNats(
  "a connection to NATS comes back with what its files hold by then, and with what they held if that is no use",
  async () => {
    const { authority, stranger, worker, coordinator } = await testCerts();
    await using folder = await tempFolder();
    const old = { ca: authority.cert, pair: coordinator };
    const flags = await clientFlags(folder, "own", old);
    await using server = await NatsServer.start({ tls: { pair: worker, clientCa: old.ca } });
    await using connection = await connect({ nats: server.url, ...flags });
    const comesBack = async (pair: KeyPair, clientCa: string) => {
      await server.stop();
      await eventually(() => !connection.isConnected);
      await server.configure({ tls: { pair, clientCa } });
      await server.restart();
      await eventually(() => connection.isConnected);
      await connection.jetStream();
    };

    await writeFile(flags.natsKey!, "half a key");
    await comesBack(worker, old.ca);

    const theirs = await stranger.issue("127.0.0.1", ["127.0.0.1"], VALID);
    await clientFlags(folder, "own", { ca: stranger.cert, pair: theirs });
    await comesBack(theirs, stranger.cert);
  },
);
