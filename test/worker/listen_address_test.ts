import assert from "node:assert/strict";
import { UsageError } from "../../shared/errors.ts";
import { TokenGuard } from "../../shared/security/token_guard.ts";
import { parseListenAddress } from "../../worker/listen_address.ts";
import { NO_SECURITY, type WorkerSecurity } from "../../worker/security/worker_security.ts";

Deno.test("parseListenAddress() takes this machine's addresses as they are", () => {
  for (const listen of ["127.0.0.1:7070", "127.0.0.9:0", "localhost:7070", "[::1]:7070"]) {
    assert.ok(parseListenAddress(listen, false, NO_SECURITY));
  }
});

Deno.test("parseListenAddress() takes others only with a word from the user", () => {
  for (const listen of ["0.0.0.0:7070", "[::]:7070", "10.0.0.5:7070", "gpu-1:7070"]) {
    assert.throws(() => parseListenAddress(listen, false, NO_SECURITY), (error) => {
      assert.ok(error instanceof UsageError);
      assert.ok(error.message.includes(listen) && error.message.includes("--insecure"));
      return true;
    });
    assert.ok(parseListenAddress(listen, true, NO_SECURITY));
  }
});

Deno.test("parseListenAddress() takes others with TLS and one way to know clients, and names what is missing", () => {
  const pair = { cert: "", key: "" };
  const guard = new TokenGuard([{ role: "client", secret: "0123456789abcdef" }]);
  const listen = (security: WorkerSecurity) => parseListenAddress("0.0.0.0:7070", false, security);
  assert.ok(listen({ tls: { pair }, guard }));
  assert.ok(listen({ tls: { pair, clientCa: "" }, guard: new TokenGuard([]) }));
  assert.throws(() => listen({ guard }), { message: /needs --tls-cert and --tls-key, and/ });
  assert.throws(() => listen({ tls: { pair }, guard: new TokenGuard([]) }), {
    message: /needs --tls-ca \(clients then need a certificate\) or --token-file/,
  });
});
