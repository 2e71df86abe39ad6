import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { ConnectionRoom } from "../../../shared/wire/connection_room.ts";

/** A far end without a network, for addresses that this host does not have. */
class FarEnd extends EventEmitter {
  static #ports = 0;
  readonly remotePort = ++FarEnd.#ports;
  readonly remoteAddress: string;
  isOpen = true;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.isOpen = false;
    this.emit("close");
  }
}

function admitted(room: ConnectionRoom, address: string, count: number): FarEnd[] {
  return Array.from({ length: count }, () => {
    const end = new FarEnd(address);
    room.admit(end);
    return end;
  });
}

const open = (ends: readonly FarEnd[]) => ends.map(({ isOpen }) => isOpen);

Deno.test("one address gets half of the room, and its own oldest silent connection goes first", () => {
  const room = new ConnectionRoom(8);
  const flood = admitted(room, "10.0.0.1", 4);
  const done = room.beginCall(flood[0]!);
  done();
  flood.push(...admitted(room, "10.0.0.1", 2));
  assert.deepEqual(open(flood), [true, false, false, true, true, true]);
  assert.equal(room.size, 4);
  for (const end of flood) end.destroy();
  assert.equal(room.size, 0);
});

Deno.test("where all is taken, who calls stays, and the address with most that do not makes room", () => {
  const room = new ConnectionRoom(6);
  const callers = admitted(room, "10.0.0.1", 3);
  callers.forEach((end) => room.beginCall(end));
  const silent = admitted(room, "10.0.0.2", 2);
  const idle = admitted(room, "10.0.0.3", 1);
  room.beginCall(idle[0]!)();
  const [last] = admitted(room, "10.0.0.4", 1);
  assert.deepEqual(open([...callers, ...silent, ...idle, last!]), [
    ...[true, true, true],
    ...[false, true],
    ...[true, true],
  ]);
  for (const end of [...callers, ...silent, ...idle, last!]) end.destroy();
});

Deno.test("where all wait for an answer a new one is closed, and nobody else", () => {
  const room = new ConnectionRoom(2);
  const callers = [...admitted(room, "10.0.0.1", 1), ...admitted(room, "10.0.0.2", 1)];
  const ends = callers.map((end) => room.beginCall(end));
  const refused = admitted(room, "10.0.0.3", 1);
  assert.deepEqual(open([...callers, ...refused]), [true, true, false]);
  ends[1]!();
  const taken = admitted(room, "10.0.0.3", 1);
  assert.deepEqual(open([...callers, ...taken]), [true, false, true]);
  for (const end of [...callers, ...taken]) end.destroy();
});

Deno.test("a connection that says nothing ends; one that has spoken stays", async () => {
  const room = new ConnectionRoom(8, { silenceMs: 100 });
  await using server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => room.beginCall(socket)());
    room.admit(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  using speaks = await Deno.connect({ hostname: "127.0.0.1", port });
  await speaks.write(Uint8Array.of(1));
  using silent = await Deno.connect({ hostname: "127.0.0.1", port });
  assert.equal(await silent.read(new Uint8Array(1)), null);
  assert.equal(room.size, 1);
  speaks.close();
});
