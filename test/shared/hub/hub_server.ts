/**
 * A hub of ours on loopback: the routes of the Hugging Face hub that Tutti asks for, with the files on another host, and
 * what goes wrong with hubs.
 *
 * @module
 */

import { createHash } from "node:crypto";

export interface HubBehaviour {
  /** Answers after this many bytes of each body with the end of the connection. @default never */
  readonly breaksAfter?: number;
  /** Statuses of the next answers of the file host, before it gives anything. */
  readonly statuses?: number[];
  readonly ignoresRanges?: boolean;
  /** What HEAD says of every hash. @default the right one */
  readonly hash?: string;
  /** Without it nobody gets anything. */
  readonly token?: string;
}

export interface Seen {
  readonly host: "hub" | "files";
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

export interface HubServer extends AsyncDisposable {
  readonly endpoint: string;
  readonly files: string;
  readonly seen: Seen[];
  readonly commit: string;
  behaviour: HubBehaviour;
}

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function gitHash(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

/** @param content of `OWNER/NAME`, by path; what ends with .safetensors is large: it has a SHA-256, and lies elsewhere */
export function startHub(content: Readonly<Record<string, Uint8Array<ArrayBuffer>>>): HubServer {
  const seen: Seen[] = [];
  const note = (host: Seen["host"], request: Request) => {
    const { pathname } = new URL(request.url);
    const { method, headers } = request;
    const [range, authorization] = ["range", "authorization"].map((name) => headers.get(name));
    seen.push({ host, method, path: pathname, range: range!, authorization: authorization! });
    return decodeURIComponent(pathname);
  };
  const options = { hostname: "127.0.0.1", port: 0 };
  const files = Deno.listen(options);
  const answered: Promise<void>[] = [];
  const answerOne = async (connection: Deno.TcpConn) => {
    using there = connection;
    const request = await readRequest(there);
    if (!request) return;
    const file = note("files", request).slice(1);
    const status = server.behaviour.statuses?.shift();
    const answer = status === undefined
      ? fileAnswer(content[file], request, server.behaviour)
      : { status, headers: { "retry-after": "7" } };
    await send(there, answer).catch(() => {}); // Whoever asked has gone.
  };
  const accepting = (async () => {
    for await (const connection of files) answered.push(answerOne(connection));
  })();
  const hub = Deno.serve({ ...options, onListen: () => {} }, (request) => {
    const path = note("hub", request);
    const { token, hash } = server.behaviour;
    if (token !== undefined && request.headers.get("authorization") !== `Bearer ${token}`) {
      return new Response("", { status: 401 });
    }
    if (path.startsWith("/api/models/owner/name/revision/")) {
      const siblings = Object.keys(content).map((rfilename) => ({ rfilename }));
      return Response.json({ sha: COMMIT, siblings });
    }
    const [, file = ""] = /^\/owner\/name\/resolve\/[^/]+\/(.+)$/.exec(path) ?? [];
    const bytes = content[file];
    if (!bytes) return new Response("", { status: 404 });
    const isLarge = file.endsWith(".safetensors");
    const headers = {
      "x-repo-commit": COMMIT,
      "x-linked-size": String(bytes.length),
      etag: `"${hash ?? (isLarge ? sha256(bytes) : gitHash(bytes))}"`,
    };
    if (!isLarge) return new Response(request.method === "HEAD" ? null : bytes, { headers });
    const location = `${server.files}/${file}?signature=secret`;
    return new Response(null, { status: 302, headers: { ...headers, location } });
  });
  const server: HubServer = {
    endpoint: `http://127.0.0.1:${hub.addr.port}`,
    files: `http://127.0.0.1:${(files.addr as Deno.NetAddr).port}`,
    seen,
    commit: COMMIT,
    behaviour: {},
    [Symbol.asyncDispose]: async () => {
      files.close();
      await accepting;
      await Promise.all([hub.shutdown(), ...answered]);
    },
  };
  return server;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** With less than content-length says, the connection ends in the middle. */
  readonly body?: Uint8Array<ArrayBuffer>;
}

function fileAnswer(
  bytes: Uint8Array<ArrayBuffer> | undefined,
  request: Request,
  { breaksAfter = Infinity, ignoresRanges }: HubBehaviour,
): Answer {
  if (!bytes) return { status: 404, headers: {} };
  const [, text] = /^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "") ?? [];
  const begin = text === undefined || ignoresRanges ? 0 : Number(text);
  if (begin >= bytes.length) return { status: 416, headers: {} };
  const rest = bytes.slice(begin);
  return {
    status: begin > 0 ? 206 : 200,
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(rest.length),
      etag: `"${sha256(bytes).slice(0, 8)}"`,
      ...(begin > 0 && { "content-range": `bytes ${begin}-${bytes.length - 1}/${bytes.length}` }),
    },
    body: rest.slice(0, Math.min(rest.length, breaksAfter)),
  };
}

/** Undefined from a connection that ends before it asks. */
async function readRequest(connection: Deno.TcpConn): Promise<Request | undefined> {
  let head = "";
  const chunk = new Uint8Array(4096);
  while (!head.includes("\r\n\r\n")) {
    const count = await connection.read(chunk);
    if (count === null) return undefined;
    head += new TextDecoder().decode(chunk.subarray(0, count));
  }
  const [first = "", ...lines] = head.split("\r\n");
  const [method = "GET", path = "/"] = first.split(" ");
  const headers = lines.filter((line) => line !== "").map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return new Request(new URL(path, "http://127.0.0.1"), { method, headers });
}

async function send(connection: Deno.TcpConn, { status, headers, body }: Answer): Promise<void> {
  const all = { "content-length": "0", ...headers, connection: "close" };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = new TextEncoder().encode(`HTTP/1.1 ${status} x\r\n${lines.join("")}\r\n`);
  for (const bytes of [head, body ?? new Uint8Array()]) {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  }
}
