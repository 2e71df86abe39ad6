import assert from "node:assert/strict";
import { hasNetem, isAvailable, TestNetwork } from "./net_namespace.ts";
import { testOnNetwork } from "./on_network.ts";
import { run, tryRun } from "./run_program.ts";

const PAIR = { hosts: ["left", "right"], cables: [{ between: ["left", "right"] }] } as const;

/** Listens on a host, says so, reads one connection to its end and prints how many bytes came. */
const LISTENER = `
const listener = Deno.listen({ hostname: "0.0.0.0", port: 7000 });
console.log("listening");
const connection = await listener.accept();
let count = 0;
for await (const bytes of connection.readable) count += bytes.length;
console.log(count);
listener.close();`;

const sender = (address: string, count: number) => `
const connection = await Deno.connect({ hostname: "${address}", port: 7000 });
const bytes = new Uint8Array(${count});
for (let offset = 0; offset < bytes.length;) offset += await connection.write(bytes.subarray(offset));
connection.close();`;

/** A program that runs on a host, and its standard output bit by bit. */
function start(network: TestNetwork, host: string, args: readonly string[]) {
  const { program, args: all } = network.command(host, Deno.execPath(), args);
  const child = new Deno.Command(program, { args: [...all], stdin: "null", stdout: "piped" })
    .spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return { child, next: async () => (await output.read()).value ?? "" };
}

const ours = async (): Promise<readonly string[]> =>
  (await run("ip", ["netns", "list"])).match(/^tutti-\S+/gm) ?? [];

/** Nothing of this process is left. */
async function assertRemoved(): Promise<void> {
  const left = (await ours()).filter((name) => name.startsWith(`tutti-${Deno.pid}-`));
  assert.deepEqual(left, []);
}

Deno.test("isAvailable() gives a reason where there is no network to be had", async () => {
  const availability = await isAvailable();
  if (!availability.isAvailable) assert.match(availability.reason, /\w/);
  // Whoever may not: the same program without root's rights.
  const module = JSON.stringify(import.meta.resolve("./net_namespace.ts"));
  const code = `const { isAvailable } = await import(${module});
    console.log(JSON.stringify(await isAvailable()));`;
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return;
  const empty = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", code],
    env: { PATH: import.meta.dirname!, NO_COLOR: "1" },
  }).output();
  const said = JSON.parse(new TextDecoder().decode(empty.stdout));
  assert.deepEqual(said, { isAvailable: false, reason: 'there is no program "ip" (iproute2)' });
});

testOnNetwork("two hosts reach each other over their cable, and this machine neither", async () => {
  {
    await using network = await TestNetwork.create(PAIR);
    const right = network.address("right", "left");
    assert.equal(network.address("left", "right"), "10.86.0.1");
    assert.equal(right, "10.86.0.2");
    const listener = start(network, "right", ["eval", LISTENER]);
    assert.match(await listener.next(), /listening/);
    await network.run("left", Deno.execPath(), ["eval", sender(right, 1_000_000)]);
    assert.equal((await listener.next()).trim(), "1000000");
    assert.equal(await listener.next(), "");
    assert.equal((await listener.child.status).code, 0);
    // The namespaces' devices are none of this machine's.
    assert.doesNotMatch(await run("ip", ["-o", "link"]), /cable0/);
    const sent = `/sys/class/net/${network.device("left", "right")}/statistics/tx_bytes`;
    assert.ok(Number(await network.run("left", "cat", [sent])) > 1_000_000);
  }
  await assertRemoved();
});

testOnNetwork("the rate of a cable is set, changed and taken away in both directions", async () => {
  await using network = await TestNetwork.create({
    hosts: ["left", "right"],
    cables: [{ between: ["left", "right"], mbitPerSecond: 100 }],
  });
  const shapers = async () =>
    await Promise.all((["left", "right"] as const).map(async (host) => {
      const args = ["-n", network.namespace(host), "qdisc", "show", "dev", "cable0"];
      return /tbf .*rate (\S+)/.exec(await run("tc", args))?.[1];
    }));
  assert.deepEqual(await shapers(), ["100Mbit", "100Mbit"]);
  await network.setRate(["left", "right"], 10_000);
  assert.deepEqual(await shapers(), ["10Gbit", "10Gbit"]);
  await network.setRate(["right", "left"]);
  assert.deepEqual(await shapers(), [undefined, undefined]);
});

testOnNetwork("an unplugged cable leads nowhere until it is plugged in again", async () => {
  await using network = await TestNetwork.create(PAIR);
  const state = () => run("ip", ["-n", network.namespace("right"), "-o", "link", "show", "cable0"]);
  await network.unplug(["left", "right"]);
  assert.match(await state(), /NO-CARRIER/);
  await network.plugIn(["left", "right"]);
  assert.doesNotMatch(await state(), /NO-CARRIER/);
});

testOnNetwork("disposing ends the programs on the hosts", async () => {
  const network = await TestNetwork.create(PAIR);
  const listener = start(network, "right", ["eval", LISTENER]);
  assert.match(await listener.next(), /listening/);
  await network[Symbol.asyncDispose]();
  assert.equal((await listener.child.status).signal, "SIGKILL");
  assert.equal(await listener.next(), "");
  await assertRemoved();
  await network[Symbol.asyncDispose](); // Once more does nothing.
});

testOnNetwork(
  "a network that cannot be finished is removed, and says which command failed",
  async () => {
    const cables = [{ between: ["left", "right"], mbitPerSecond: 0 }] as const;
    await assert.rejects(
      TestNetwork.create({ hosts: ["left", "right"], cables }),
      /"tc -n tutti-.* rate 0mbit .*" failed: /,
    );
    await assertRemoved();
  },
);

testOnNetwork("what a run left behind that was killed is removed by the next", async () => {
  // No process has this number: it is above the largest that Linux gives.
  const left = "tutti-99999999-x-left";
  await run("ip", ["netns", "add", left]);
  try {
    assert.ok((await ours()).includes(left));
    await using network = await TestNetwork.create(PAIR);
    assert.ok((await ours()).includes(network.namespace("left")));
    assert.ok(!(await ours()).includes(left));
  } finally {
    await tryRun("ip", ["netns", "del", left]);
  }
});

testOnNetwork("wrong names are refused", async () => {
  await assert.rejects(
    TestNetwork.create({ hosts: ["../left"], cables: [] }),
    /Name of a host must match .*: current value is "\.\.\/left"/,
  );
  await using network = await TestNetwork.create({ hosts: ["left", "right"], cables: [] });
  assert.throws(() => network.address("left", "right"), /no cable from "left" to "right"/);
  assert.throws(() => network.command("middle", "true"), /no host "middle"/);
});

testOnNetwork("hasNetem() answers, and leaves nothing behind", async () => {
  assert.equal(typeof await hasNetem(), "boolean");
  await assertRemoved();
});
