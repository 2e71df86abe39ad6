import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Lane } from "../../../../shared/lane/lane.ts";
import { encodeModel } from "../../../../shared/onnx/encode.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { Add } from "../../../../shared/onnx/ops/elementwise.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import {
  createSharedMemory,
  openSharedMemory,
  SHARED_MEMORY_FOLDER,
} from "../../../../shared/wire/plane/shared_memory.ts";
import { sweepSharedMemory } from "../../../../shared/wire/plane/sweep_shared_memory.ts";

const CHILD = fileURLToPath(import.meta.resolve("./shared_memory_child.ts"));
const PAGE = 4096;
const HEX = "0123456789abcdef0123456789abcdef";
const NO_PROCESS = 2 ** 31 - 1; // Linux counts to 2^22.

const pathOf = (name: string) => `${SHARED_MEMORY_FOLDER}/${name}`;

/** Whether a region, or anything else, has this name. */
function exists(name: string): boolean {
  try {
    Deno.lstatSync(pathOf(name));
    return true;
  } catch {
    return false;
  }
}

/** Runs `body` with a file of our own where a region would be. */
function withFile(pid: number, make: (path: string) => void, body: (name: string) => void): void {
  const name = `tutti-${pid}-${crypto.getRandomValues(new Uint8Array(16)).toHex()}`;
  make(pathOf(name));
  try {
    body(name);
  } finally {
    if (exists(name)) Deno.removeSync(pathOf(name));
  }
}

const denoRun = (...args: string[]) =>
  new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", CHILD, ...args],
    stdout: "piped",
    stderr: "piped",
  });

const mapsCount = () => Deno.readTextFileSync("/proc/self/maps").split("\n").length;
const fdCount = () => [...Deno.readDirSync("/proc/self/fd")].length;

Deno.test("two processes see each other's writes, also after the name is gone", async () => {
  const count = 100_000;
  using server = createSharedMemory(4 * count);
  const floats = new Float32Array(server.buffer);
  floats.forEach((_, i) => floats[i] = i);
  const { code, stderr } = await denoRun("double", server.name, String(4 * count)).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.deepEqual(floats, Float32Array.from({ length: count }, (_, i) => 2 * i));

  using client = openSharedMemory(server.name, 4 * count);
  server.unlink();
  assert.equal(exists(server.name), false);
  new Float32Array(client.buffer)[7] = -1;
  assert.equal(floats[7], -1);
  floats[8] = -2;
  assert.equal(new Float32Array(client.buffer)[8], -2);
});

Deno.test("a region is a file of its owner alone, all of its memory is there, and unlink() removes it once", () => {
  using memory = createSharedMemory(3 * PAGE + 1);
  const { mode, size, blocks } = Deno.statSync(pathOf(memory.name));
  assert.equal(mode! & 0o7777, 0o600);
  assert.equal(size, 3 * PAGE + 1);
  assert.equal(blocks! * 512, 4 * PAGE, "memory that is not there yet may never be");
  assert.match(memory.name, new RegExp(`^tutti-${Deno.pid}-[0-9a-f]{32}$`));
  assert.equal(memory.address % BigInt(PAGE), 0n);
  assert.equal(memory.buffer.byteLength, 3 * PAGE + 1);
  assert.ok(new Uint8Array(memory.buffer).every((byte) => byte === 0));
  memory.unlink();
  assert.equal(exists(memory.name), false);
  Deno.writeTextFileSync(pathOf(memory.name), "another's");
  try {
    memory.unlink();
    assert.ok(exists(memory.name), "a second unlink() must not touch what came after the first");
  } finally {
    Deno.removeSync(pathOf(memory.name));
  }
});

Deno.test("the creator's disposal removes the name, that of who opened it does not", () => {
  const server = createSharedMemory(PAGE);
  const client = openSharedMemory(server.name, PAGE);
  client[Symbol.dispose]();
  assert.ok(exists(server.name));
  server[Symbol.dispose]();
  assert.equal(exists(server.name), false);
  server[Symbol.dispose]();
});

Deno.test("more memory than there is is refused, and leaves nothing behind", () => {
  const before = [...Deno.readDirSync(SHARED_MEMORY_FOLDER)].length;
  const fds = fdCount();
  assert.throws(() => createSharedMemory(2 ** 44), {
    name: "PlaneError",
    code: "RESOURCE_EXHAUSTED",
    message: /no space is left$/,
  });
  assert.equal([...Deno.readDirSync(SHARED_MEMORY_FOLDER)].length, before);
  assert.equal(fdCount(), fds);
});

Deno.test("numbers of bytes that are none are refused", () => {
  using memory = createSharedMemory(PAGE);
  for (const bytes of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
    const refusal = { name: "PlaneError", code: "INVALID_ARGUMENT" };
    assert.throws(() => createSharedMemory(bytes), refusal, String(bytes));
    assert.throws(() => openSharedMemory(memory.name, bytes), refusal, String(bytes));
  }
});

Deno.test("openSharedMemory() refuses hostile names before it looks for them", () => {
  const good = `tutti-1-${HEX}`;
  const bad = [
    "",
    ".",
    "..",
    "/etc/passwd",
    `../${good}`,
    `${good}/`,
    `/dev/shm/${good}`,
    `${good}\0`,
    `${good}\n`,
    ` ${good}`,
    good.toUpperCase(),
    `tutti-0-${HEX}`,
    `tutti--1-${HEX}`,
    `tutti-12345678901-${HEX}`,
    `tutti-1-${HEX}0`,
    `tutti-1-${HEX.slice(1)}`,
    `tutti-1-${HEX.slice(1)}.`,
    `tutti-1-${HEX.slice(1)}ａ`,
    "x".repeat(1_000_000),
  ];
  for (const name of bad) {
    assert.throws(() => openSharedMemory(name, PAGE), (error: Error & { code?: string }) => {
      assert.equal(error.code, "INVALID_ARGUMENT");
      assert.match(
        error.message,
        /^Name of shared memory must be tutti-PID-HEX: current value is /,
      );
      return error.message.length < 1000;
    });
  }
  assert.throws(() => openSharedMemory(good, PAGE), { name: "PlaneError", code: "NOT_FOUND" });
});

Deno.test("openSharedMemory() refuses another length, mode, owner, and what is no file", () => {
  const refuse = (make: (path: string) => void, code: string, message: RegExp) =>
    withFile(Deno.pid, make, (name) => {
      const fds = fdCount();
      assert.throws(() => openSharedMemory(name, PAGE), { name: "PlaneError", code, message });
      assert.equal(fdCount(), fds);
    });
  const file = (bytes: number, mode = 0o600) => (path: string) => {
    Deno.writeFileSync(path, new Uint8Array(bytes), { mode });
    Deno.chmodSync(path, mode);
  };
  const wrongState = "FAILED_PRECONDITION";
  refuse(file(PAGE - 1), wrongState, /^Length of .* must be 4096: current value is 4095$/);
  refuse(file(PAGE + 1), wrongState, /current value is 4097$/);
  refuse(file(0), wrongState, /current value is 0$/);
  refuse(file(PAGE, 0o644), "PERMISSION_DENIED", /^Mode of .* must be 600: current value is 644$/);
  refuse(file(PAGE, 0o4600), "PERMISSION_DENIED", /^Mode of .* current value is 4600$/);
  refuse((path) => Deno.mkdirSync(path), "UNAVAILABLE", /cannot be opened/);
  refuse(
    (path) => assert.ok(new Deno.Command("mkfifo", { args: [path] }).outputSync().success),
    wrongState,
    /^Kind of .* must be a regular file/,
  );
  using memory = createSharedMemory(PAGE);
  refuse((path) => Deno.symlinkSync(pathOf(memory.name), path), wrongState, /cannot be opened/);
  if (Deno.uid() === 0) { // Who else could give a file away?
    const othersFile = (path: string) => {
      file(PAGE)(path);
      Deno.chownSync(path, 12345, 12345);
    };
    refuse(othersFile, "PERMISSION_DENIED", /^Owner of .* must be 0: current value is 12345$/);
  }
  openSharedMemory(memory.name, PAGE)[Symbol.dispose]();
});

Deno.test("a stale view reads zeros, writes to nobody, and lets the file's memory go", () => {
  const bytes = 64 * PAGE;
  const server = createSharedMemory(bytes);
  using client = openSharedMemory(server.name, bytes);
  const stale = new Uint8Array(server.buffer);
  stale.fill(9);
  assert.ok(Deno.readTextFileSync("/proc/self/maps").includes(server.name));
  server[Symbol.dispose]();
  assert.ok(stale.every((byte) => byte === 0));
  stale.fill(5);
  assert.ok(new Uint8Array(client.buffer).every((byte) => byte === 9));
  client[Symbol.dispose]();
  assert.ok(!Deno.readTextFileSync("/proc/self/maps").includes(server.name));
});

Deno.test("a region in the range of an older one starts as zeros, whatever was written late", () => {
  const pages = 1000; // More than any test above has, so that no other range fits.
  const first = createSharedMemory(pages * PAGE);
  const stale = new Uint8Array(first.buffer);
  first[Symbol.dispose]();
  stale.fill(5);
  using second = createSharedMemory((pages - 1) * PAGE);
  assert.equal(second.address, first.address, "the range must be used again");
  assert.ok(new Uint8Array(second.buffer).every((byte) => byte === 0));
  using third = createSharedMemory((pages + 1) * PAGE);
  assert.notEqual(third.address, first.address, "too small for this one");
});

Deno.test("a thousand regions leave as many mappings, descriptors and files as one", () => {
  const cycle = (bytes: number) => {
    using server = createSharedMemory(bytes);
    using client = openSharedMemory(server.name, bytes);
    server.unlink();
    new Uint8Array(server.buffer)[bytes - 1] = 1;
    assert.equal(new Uint8Array(client.buffer)[bytes - 1], 1);
  };
  const largest = 40 * PAGE;
  cycle(largest);
  const before = { maps: mapsCount(), fds: fdCount() };
  for (let i = 0; i < 1000; i++) cycle(1 + (i * 7919) % largest);
  // The rest of the process maps a little now and then.
  assert.ok(mapsCount() - before.maps < 50, `${mapsCount()} mappings after ${before.maps}`);
  assert.equal(fdCount(), before.fds);
  const ours = `tutti-${Deno.pid}-`;
  const left = [...Deno.readDirSync(SHARED_MEMORY_FOLDER)].filter((f) => f.name.startsWith(ours));
  assert.deepEqual(left, []);
});

Deno.test("a lane reads a region in place", async () => {
  await using lane = new Lane({ device: "cpu", threads: 1 });
  const g = new GraphBuilder("doubling");
  const a = g.input("a", "float32", ["B", 2]);
  g.output("sum", Add(g, a, a));
  await lane.loadGraph("doubling", encodeModel(g.build()));
  using memory = createSharedMemory(PAGE);
  using writer = openSharedMemory(memory.name, PAGE);
  new Float32Array(writer.buffer).set([1, 2, 3, 4], 16);
  const input = f32([2, 2], new Float32Array(memory.buffer, 64, 4));
  const outputs = { sum: { dtype: "float32", shape: [2, 2] } } as const;
  const run =
    async () => [...(await lane.run("doubling", { a: input }, outputs)).outputs.sum!.data];
  assert.deepEqual(await run(), [2, 4, 6, 8]);
  new Float32Array(writer.buffer).set([5], 16);
  assert.deepEqual(await run(), [10, 4, 6, 8]);
});

Deno.test("sweepSharedMemory() removes what a killed process left, not what a living one has", async () => {
  const child = denoRun("leave", String(PAGE)).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const name = new TextDecoder().decode(value).trim();
  try {
    assert.ok(exists(name));
    assert.ok(!sweepSharedMemory().includes(name));
    assert.ok(exists(name), "its creator lives");
  } finally {
    child.kill("SIGKILL");
    await Promise.all([child.status, reader.cancel(), child.stderr.cancel()]);
  }
  assert.ok(exists(name), "a killed process cannot clean up");
  using memory = createSharedMemory(PAGE);
  assert.ok(sweepSharedMemory().includes(name));
  assert.equal(exists(name), false);
  assert.ok(exists(memory.name));
});

Deno.test("sweepSharedMemory() keeps what is locked by a process that it does not see, and what is no region", () => {
  const create = (path: string) => Deno.writeTextFileSync(path, "");
  withFile(NO_PROCESS, create, (name) => {
    {
      using file = Deno.openSync(pathOf(name), { write: true });
      file.lockSync(true);
      assert.ok(!sweepSharedMemory().includes(name));
      assert.ok(exists(name));
    }
    assert.ok(sweepSharedMemory().includes(name));
    assert.equal(exists(name), false);
  });
  withFile(NO_PROCESS, (path) => Deno.symlinkSync("/etc/hostname", path), (name) => {
    assert.ok(!sweepSharedMemory().includes(name));
    assert.ok(exists(name));
  });
  const other = `tutti-${NO_PROCESS}-${HEX}.other`;
  create(pathOf(other));
  try {
    sweepSharedMemory();
    assert.ok(exists(other));
  } finally {
    Deno.removeSync(pathOf(other));
  }
});
