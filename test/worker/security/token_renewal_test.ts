import assert from "node:assert/strict";
import { renewCredentials, useCredentials } from "../../../coordinator/cluster/credentials.ts";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { watchTokenFile } from "../../../shared/security/watch_token_file.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { INTERVAL_MS } from "../../support/renewed_worker.ts";
import { eventually } from "../../support/serve_expert.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const [FIRST, SECOND] = ["first-0123456789abcdef", "second-0123456789abcdef"];

/** A worker's watch of its file, and what it tells. */
function watched(tokenFile: string, guard: TokenGuard) {
  const told: string[] = [];
  const looked = Promise.withResolvers<void>();
  const tell = (text: string) => void told.push(text);
  const watch = watchTokenFile({ tokenFile }, {
    renew: (tokens) => {
      looked.resolve();
      return guard.renew(tokens);
    },
    ...{ warn: tell, note: tell, intervalMs: INTERVAL_MS },
  })!;
  return { told, looked: looked.promise, [Symbol.dispose]: () => watch[Symbol.dispose]() };
}

async function writeTokens(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { mode: 0o600 });
}

Deno.test("a worker takes renewed tokens from its file, and sessions that are open go on", async () => {
  await using folder = await tempFolder();
  const tokenFile = folder.join("tokens");
  await writeTokens(tokenFile, `client:${FIRST}\n`);
  const guard = new TokenGuard([{ role: "client", secret: FIRST }]);
  using watch = watched(tokenFile, guard);
  const { told, looked } = watch;
  const expert = new AffineExpert();
  await using worker = await startWorkerServer({
    ...{ expert, listen: "127.0.0.1:0", security: { guard } },
  });
  await worker.ready;

  // The client's file, which is renewed as well.
  const ownFile = folder.join("own");
  await writeTokens(ownFile, FIRST);
  using _credentials = useCredentials({ token: FIRST });
  using _renewal = renewCredentials({ tokenFile: ownFile }, { intervalMs: INTERVAL_MS });
  const remote = await connectExpert(worker.address);
  const config = await sessionConfig(remote);
  const open = async () => {
    const session = await remote.openSession(config);
    const first = expert.description.blocks[0]!.id;
    const hiddenStates = latentsFor(expert.description, config);
    return {
      computes: () => session.forward({ stepIndex: 0, first, last: first, hiddenStates }),
      [Symbol.asyncDispose]: () => session.close(),
    };
  };
  await using session = await open();
  await session.computes();
  await looked;
  assert.deepEqual(told, [], "what has not changed is no news");

  await writeTokens(tokenFile, `client:${SECOND}\n`);
  await eventually(() => told.length > 0);
  assert.deepEqual(told, [`Calls that begin from now on go by the tokens in ${tokenFile}`]);
  await session.computes();
  await assert.rejects(open(), { code: "UNAUTHENTICATED" });

  await writeTokens(ownFile, SECOND);
  await eventually(async () => {
    try {
      await using another = await open();
      await another.computes();
      return true;
    } catch {
      return false;
    }
  });
  await remote.close();
});

Deno.test("a token file that cannot be used lets nobody else in, and one line says what is wrong", async () => {
  await using folder = await tempFolder();
  const tokenFile = folder.join("tokens");
  await writeTokens(tokenFile, FIRST);
  const guard = new TokenGuard([{ role: "admin", secret: FIRST }]);
  using watch = watched(tokenFile, guard);
  const { told } = watch;
  const bad = [["", /must hold a token/], ["owner:x", /, line 1: the role/]] as const;
  for (const [index, [text, problem]] of bad.entries()) {
    await writeTokens(tokenFile, text);
    await eventually(() => told.length > index);
    assert.match(told[index]!, problem);
    assert.match(told[index]!, /What was read before stays in use$/);
    assert.doesNotThrow(() => guard.check(`Bearer ${FIRST}`, ["client"], "this"));
    assert.throws(() => guard.check(undefined, ["client"], "this"), { code: "UNAUTHENTICATED" });
  }
  await writeTokens(tokenFile, SECOND);
  await eventually(() => told.at(-1)!.startsWith("Calls that begin from now on"));
  assert.equal(told.length, bad.length + 1, "each was told once");
});
