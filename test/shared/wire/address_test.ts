import assert from "node:assert/strict";
import { UsageError } from "../../../shared/errors.ts";
import { formatAddress, isLoopback, parseAddress } from "../../../shared/wire/address.ts";

Deno.test("parseAddress() reads names, IPv4 and bracketed IPv6, and formatAddress() writes them", () => {
  const cases: readonly (readonly [string, string, number])[] = [
    ["127.0.0.1:7070", "127.0.0.1", 7070],
    ["localhost:1", "localhost", 1],
    ["gpu-3.example.org:65535", "gpu-3.example.org", 65535],
    ["tutti_worker-0:7070", "tutti_worker-0", 7070],
    ["[::1]:7070", "::1", 7070],
    ["[fe80::1%eth0]:7070", "fe80::1%eth0", 7070],
  ];
  for (const [text, host, port] of cases) {
    assert.deepEqual(parseAddress(text), { host, port });
    assert.equal(formatAddress({ host, port }), text);
  }
});

Deno.test("parseAddress() accepts port 0 only for listening", () => {
  assert.deepEqual(parseAddress("127.0.0.1:0", { anyPort: true }), { host: "127.0.0.1", port: 0 });
  assert.throws(() => parseAddress("127.0.0.1:0"), {
    name: "UsageError",
    message: "Address must be HOST:PORT with a port from 1 to 65535: " +
      'current value is "127.0.0.1:0"',
  });
});

Deno.test("parseAddress() refuses what is no address", () => {
  const bad = [
    "",
    ":",
    ":7070",
    "host:",
    "host:x",
    "host:-1",
    "host:65536",
    "host:070700",
    "a b:1",
  ];
  const worse = [
    "999.0.0.1:1",
    "1.2.3:1",
    "-a:1",
    "a..b:1",
    "http://host:1",
    "host:1/",
    "[::1]",
    "é:1",
  ];
  const brackets = ["[host]:1", "[127.0.0.1]:1", "[::g]:1", "[]:1", "[::1:1", "::1]:1"];
  const long = [`${"a".repeat(64)}:1`, `${"a.".repeat(127)}a:1`];
  for (const text of [...bad, ...worse, ...brackets, ...long]) {
    assert.throws(() => parseAddress(text), UsageError, text);
  }
});

Deno.test("parseAddress() says what is probably missing", () => {
  const hint = (text: string): string | undefined => {
    try {
      return parseAddress(text).host;
    } catch (error) {
      return (error as Error).message.match(/ \((.*)\)$/)?.[1];
    }
  };
  assert.equal(hint("gpu-2"), "the port is missing: gpu-2:7070");
  assert.equal(hint("::1:7070"), "an IPv6 host needs brackets: [::1]:7070");
  assert.equal(hint("::1"), "an IPv6 host needs brackets: [::1]:7070");
  assert.equal(hint("unix:/tmp/tutti"), "Unix sockets are not supported as addresses");
});

Deno.test("isLoopback() knows this machine from others", () => {
  const local = ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1"];
  const remote = ["0.0.0.0", "::", "10.0.0.1", "127.example.org", "localhost.example.org"];
  assert.ok(local.every((host) => isLoopback({ host, port: 1 })));
  assert.ok(!remote.some((host) => isLoopback({ host, port: 1 })));
});
