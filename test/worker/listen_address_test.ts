import assert from "node:assert/strict";
import { UsageError } from "../../shared/errors.ts";
import { parseListenAddress } from "../../worker/listen_address.ts";

Deno.test("parseListenAddress() takes this machine's addresses as they are", () => {
  for (const listen of ["127.0.0.1:7070", "127.0.0.9:0", "localhost:7070", "[::1]:7070"]) {
    assert.ok(parseListenAddress(listen, false));
  }
});

Deno.test("parseListenAddress() takes others only with a word from the user", () => {
  for (const listen of ["0.0.0.0:7070", "[::]:7070", "10.0.0.5:7070", "gpu-1:7070"]) {
    assert.throws(() => parseListenAddress(listen, false), (error) => {
      assert.ok(error instanceof UsageError);
      assert.ok(error.message.includes(listen) && error.message.includes("--insecure"));
      return true;
    });
    assert.ok(parseListenAddress(listen, true));
  }
});
