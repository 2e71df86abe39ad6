import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { TuttiError } from "../../../shared/errors.ts";
import { Nats } from "../../../shared/nats/connect.ts";
import { natsOptions } from "../../../shared/nats/nats_options.ts";
import { NatsOperator } from "../../support/nats_operator.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { eventually } from "../../support/serve_expert.ts";
import { tempFolder } from "../../support/temp_folder.ts";

testWithNats(
  "Nats.connect() logs in with --nats-creds, and with what the file holds when the server comes back",
  async () => {
    await using folder = await tempFolder();
    const operator = new NatsOperator();
    await using server = await NatsServer.start({ config: operator.config });
    const natsCreds = folder.join("amy.creds");
    const put = (creds: string) => writeFile(natsCreds, creds, { mode: 0o600 });
    const connect = async () =>
      await Nats.connect((await natsOptions({ nats: server.url, natsCreds }, "a test"))!);
    const refused = async () => {
      const error = await connect().then(() => assert.fail("it connected"), (error) => error);
      assert.ok(error instanceof TuttiError);
      assert.doesNotMatch(Deno.inspect(error), /eyJ|SU[A-Z0-9]{50}/);
      return `${error.code} ${error.message}`;
    };

    await put(operator.creds(3600));
    {
      await using nats = await connect();
      assert.equal((await (await nats.jetStream()).getAccountInfo()).streams, 0);
    }
    await put(new NatsOperator().creds(3600));
    assert.match(await refused(), /^UNAUTHENTICATED .* refuses this login/);
    await put("no credentials");
    assert.match(await refused(), /^UNAUTHENTICATED .* --nats-creds holds no NATS credentials/);

    // The server hangs up on whom it has let in when the credentials expire, and takes only new ones after that.
    await put(operator.creds(6));
    await using nats = await connect();
    await eventually(() => !nats.isConnected);
    // One that is being written when the connection is tried: the first attempt may have begun before.
    await put(operator.creds(3600).slice(0, 300));
    let attempts = 0;
    for await (const { type } of nats.connection.status()) {
      if (type === "reconnecting" && ++attempts === 2) break;
    }
    await put(operator.creds(3600));
    await eventually(() => nats.jetStream().then(() => true, () => false));
  },
);
