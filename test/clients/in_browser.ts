/** Tests in a real browser, against a server in this process. @module */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { Ensemble } from "../../coordinator/ensemble/ensemble.ts";
import { startApiServer } from "../../coordinator/http/server/api_server.ts";
import { parseTokens } from "../../shared/security/token_file.ts";
import { TokenGuard } from "../../shared/security/token_guard.ts";
import { openRuntime, zooTests } from "../coordinator/http/served_zoo.ts";
import { findBrowser } from "../support/browser_program.ts";
import { tempFolder } from "../support/temp_folder.ts";

/** Of playwright-core, whose types are not installed where types are checked. */
// deno-lint-ignore no-explicit-any -- see above
export type Page = any;

export interface Site {
  readonly url: string;
  /** A page of a new profile. @param options as those of playwright's contexts */
  open(options?: object): Promise<Page>;
  /** What the native API says. @param body makes it a POST */
  // deno-lint-ignore no-explicit-any -- each test says what it expects
  ask(path: string, body?: object): Promise<any>;
}

export interface BrowserTest {
  /** Lines of a token file. */
  readonly tokens?: string;
  /** Whether the server refuses something, of which browsers tell in their console. */
  readonly isRefused?: boolean;
  run(site: Site): Promise<void>;
}

/** What has not happened by then will not, however busy the machine is. */
const PATIENCE_MS = 120_000;

const browser = await findBrowser();

/**
 * As `zooTests()`, each with a server of its own; skipped, with the reason, where there is no browser. In the end nothing may
 * have been complained of in a console, nor asked of another host.
 */
export function browserTests(name: string, tests: Readonly<Record<string, BrowserTest>>): void {
  if ("reason" in browser) {
    Deno.test({ name: `${name} (skipped: ${browser.reason})`, ignore: true, fn: () => {} });
    return;
  }
  const steps = Object.entries(tests).map(([title, test]) => [
    title,
    (zoo: Ensemble) => runTest(zoo, test),
  ]);
  zooTests(name, Object.fromEntries(steps));
}

async function runTest(zoo: Ensemble, { tokens = "", isRefused, run }: BrowserTest): Promise<void> {
  assert.ok("path" in browser);
  await using folder = await tempFolder();
  await using runtime = await openRuntime(zoo, folder.path);
  const guard = new TokenGuard(tokens === "" ? [] : parseTokens(tokens, "test"));
  await using server = await startApiServer({ host: "127.0.0.1", port: 0 }, runtime, { guard });
  const program = await browser.require("playwright-core").chromium.launch({
    executablePath: browser.path,
    // Containers allow it no namespaces, and what it shows is our own.
    args: ["--no-sandbox"],
  });
  await using _ = { [Symbol.asyncDispose]: () => program.close() };
  const problems: string[] = [];
  const open = async (options = {}) => {
    const context = await program.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    watch(page, server.url, problems);
    await page.goto(server.url);
    return page;
  };
  const ask = async (path: string, body?: object) => {
    const request = body && { method: "POST", body: JSON.stringify(body) };
    return await (await fetch(server.url + path, request)).json();
  };
  await run({ url: server.url, open, ask });
  const refusal = /^Failed to load resource: the server responded with a status of 40[01] /;
  assert.deepEqual(problems.filter((text) => !(isRefused && refusal.test(text))), []);
}

/** @param problems what there is to complain of is added to it */
function watch(page: Page, url: string, problems: string[]): void {
  // deno-lint-ignore no-explicit-any -- of playwright-core
  page.on("console", (message: any) => {
    if (["error", "warning"].includes(message.type())) problems.push(message.text());
  });
  page.on("pageerror", (error: Error) => problems.push(String(error)));
  page.on("request", (request: { url(): string }) => {
    if (!request.url().startsWith(url)) problems.push(`asked for ${request.url()}`);
  });
}

/**
 * What axe finds that keeps people out: its rules, and where.
 *
 * @param rules @default all
 */
export async function barriers(page: Page, rules?: readonly string[]): Promise<string[]> {
  assert.ok("path" in browser);
  if (!await page.evaluate("'axe' in globalThis")) {
    await page.evaluate(await readFile(browser.require.resolve("axe-core/axe.min.js"), "utf8"));
  }
  const options = { resultTypes: ["violations"], ...(rules && { runOnly: rules }) };
  const { violations } = await page.evaluate(`axe.run(${JSON.stringify(options)})`);
  // deno-lint-ignore no-explicit-any -- of axe-core
  const grave = violations.filter(({ impact }: any) => ["serious", "critical"].includes(impact));
  // deno-lint-ignore no-explicit-any -- of axe-core
  return grave.flatMap(({ id, nodes }: any) => nodes.map((node: any) => `${id}: ${node.html}`));
}

/** Waits until an expression is true: playwright's own way needs `eval`, which the page's policy forbids. */
export async function until(page: Page, expression: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!await page.evaluate(expression)) {
    assert.ok(performance.now() < end, `${expression} does not become true`);
    await page.evaluate("new Promise((resolve) => requestAnimationFrame(resolve))");
  }
}

/** Presses Tab until the element that the selector names has the focus. */
export async function tabTo(page: Page, selector: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(`document.activeElement.matches(${JSON.stringify(selector)})`)) return;
  }
  assert.fail(`Tab does not lead to ${selector}`);
}
