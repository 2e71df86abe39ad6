import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readPageFiles } from "../../../coordinator/http/page/page_files.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { Asker } from "./ask.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";

const KIB = 1024;

/** The texts of what the page has, by address. */
async function pageTexts(): Promise<ReadonlyMap<string, string>> {
  const { files, index } = await readPageFiles();
  const decoder = new TextDecoder();
  return new Map([
    ["/", decoder.decode(index.bytes)],
    ...[...files].map(([name, { bytes }]) => [`/page/${name}`, decoder.decode(bytes)] as const),
  ]);
}

function importMapOf(html: string): string {
  return /<script type="importmap">(.*?)<\/script>/s.exec(html)![1]!;
}

/** Addresses that a file of the page loads. */
function loadedBy(address: string, text: string, imports: Readonly<Record<string, string>>) {
  if (address === "/") return [...text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, url]) => url!);
  const specifiers = [
    ...text.matchAll(/(?:\bfrom|\bimport)\s*["']([^"']+)["']/g),
    ...text.matchAll(/src="(\/[^"]+)"/g),
  ].map(([, specifier]) => specifier!);
  return specifiers.map((specifier) => {
    if (/^[./]/.test(specifier)) return new URL(specifier, `http://here${address}`).pathname;
    assert.ok(imports[specifier], `${address} imports ${specifier}, which the import map has not`);
    return imports[specifier]!;
  });
}

Deno.test("the page loads all of its files, and nothing that is not there", async () => {
  const texts = await pageTexts();
  const { imports } = JSON.parse(importMapOf(texts.get("/")!));
  const reached = new Set(["/"]);
  for (const address of reached) {
    const text = texts.get(address);
    assert.ok(text !== undefined, `there is no ${address}`);
    for (const other of loadedBy(address, text, imports)) reached.add(other);
  }
  assert.deepEqual([...reached].sort(), [...texts.keys()].sort());
});

Deno.test("the page is small, and knows no other host", async () => {
  const texts = await pageTexts();
  const size = [...texts.values()].reduce((sum, text) => sum + text.length, 0);
  assert.ok(size > 20 * KIB && size <= 300 * KIB, `it has ${Math.round(size / KIB)} KiB`);
  for (const [address, text] of texts) {
    const others = [...text.matchAll(/https?:\/\/[^\s"'`)]+/g)].map(([url]) => url);
    // Names of XML, from which nothing is loaded.
    const odd = others.filter((url) => !url.startsWith("http://www.w3.org/"));
    assert.deepEqual(odd, [], address);
  }
});

zooTests("the page", {
  "is served with a policy that lets it run its own files only": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime, "0123456789abcdef");
    const page = await asker.ask("GET /");
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type")!, /^text\/html/);
    const policy = page.headers.get("content-security-policy")!;
    const hash = createHash("sha256").update(importMapOf(page.body)).digest("base64");
    assert.deepEqual(policy.split("; "), [
      "default-src 'none'",
      `script-src 'self' 'sha256-${hash}'`,
      "style-src 'self'",
      "img-src 'self' data: blob:",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ]);
    // What the policy would stop is not there either.
    assert.doesNotMatch(page.body, /\son\w+=|\sstyle=|<script(?! type="(?:importmap|module)")/);
    const types = [["main.js", "text/javascript"], ["style/theme.css", "text/css"], [
      "mark.svg",
      "image/svg+xml",
    ], ["npm/preact.js", "text/javascript"]] as const;
    for (const [name, type] of types) {
      const { status, headers } = await asker.ask(`GET /page/${name}`);
      assert.equal(status, 200, name);
      assert.ok(headers.get("content-type")!.startsWith(type), name);
      assert.equal(headers.get("x-content-type-options"), "nosniff");
    }
    for (const name of ["", "index.html", "nothing.js", "..%2fpage.ts", "%2e%2e/page.ts", "a/b"]) {
      assert.equal((await asker.ask(`GET /page/${name}`)).status, 404, name);
    }
    assert.equal((await asker.ask("POST /")).status, 405);
  },
});
