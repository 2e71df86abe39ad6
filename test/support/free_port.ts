/** A port of this machine on which nothing listens; somebody else may take it before the caller does. @module */

export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
