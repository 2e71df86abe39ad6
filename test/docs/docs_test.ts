import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path";
import { checkJson, SCHEMA_ENDING, schemaOf, SCHEMAS } from "../support/json_schemas.ts";
import { commandProblems, helpOf } from "./command_help.ts";
import {
  anchorOf,
  findCommands,
  findCommandTexts,
  findHeadings,
  findLinks,
  type Link,
  type Page,
  readPages,
  ROOT,
} from "./pages.ts";

const pages = await readPages();
const README_BYTES = 12_288;

/** Why a link leads nowhere; undefined if it does not. */
async function brokenLink(from: string, { text, target }: Link): Promise<string | undefined> {
  if (/^https?:/.test(target)) return undefined;
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? from : normalize(join(dirname(from), path));
  if (file.startsWith("..")) return `${target} leaves the repository`;
  const info = await Deno.stat(join(ROOT, file)).catch(() => undefined);
  if (!info) return `${target} does not exist`;
  if (info.isDirectory) return undefined;
  if (!/\.(md|ts)$/.test(file)) return undefined;
  const content = await Deno.readTextFile(join(ROOT, file));
  if (anchor !== undefined && !findHeadings(content).map(anchorOf).includes(anchor)) {
    return `${target}: ${file} has no such heading`;
  }
  const [, name] = /^`(\w+)(?:\(\))?`$/.exec(text) ?? [];
  if (name === undefined || !file.endsWith(".ts")) return undefined;
  const declares = new RegExp(
    `^export .*\\b(class|function\\*?|interface|type|const) ${name}\\b`,
    "m",
  );
  return declares.test(content) ? undefined : `${file} exports no ${name}`;
}

async function brokenLinks({ path, text }: Page): Promise<string[]> {
  const problems = await Promise.all(findLinks(text).map((link) => brokenLink(path, link)));
  return problems.flatMap((problem) => problem ?? []);
}

async function wrongCommands({ text }: Pick<Page, "text">): Promise<string[]> {
  const commands = findCommandTexts(text).flatMap(findCommands);
  const problems: string[] = [];
  for (const words of commands) problems.push(...await commandProblems(words));
  return problems;
}

/** `docs/spec.md`, "Heading" in a source; a comment may break it over two lines. */
function findCitations(source: string): string[] {
  const joined = source.replaceAll(/\n\s*(?:\*|\/\/) ?/g, " ");
  return [...joined.matchAll(/`docs\/spec\.md`, "([^"]+)"/g)].map(([, heading]) => heading!);
}

async function* sourceFiles(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* sourceFiles(path);
    else if (/\.(ts|proto)$/.test(name)) yield path;
  }
}

for (const page of pages) {
  Deno.test(`${page.path}: every link leads to a file, heading or symbol that is there`, async () => {
    assert.deepEqual(await brokenLinks(page), []);
  });

  Deno.test(`${page.path}: every command and flag exists`, async () => {
    assert.deepEqual(await wrongCommands(page), []);
  });
}

Deno.test("README.md is short, and has every command and page", async () => {
  const { text } = pages.find(({ path }) => path === "README.md")!;
  const bytes = new TextEncoder().encode(text).length;
  assert.ok(bytes <= README_BYTES, `${bytes} bytes`);
  const listed = [...text.matchAll(/^\| `tutti ([\w-]+)`/gm)].map(([, name]) => name!).sort();
  const { subcommands } = await helpOf([]);
  assert.deepEqual(listed, [...subcommands].filter((name) => name !== "help").sort());
  const targets = findLinks(text).map(({ target }) => target);
  for (const { path } of pages.slice(1)) assert.ok(targets.includes(path), `no link to ${path}`);
});

/** Words of every command that has a flag. */
async function commandsWith(flag: string, words: readonly string[] = []): Promise<string[][]> {
  const { flags, subcommands } = await helpOf(words);
  const inner: string[][] = [];
  for (const name of subcommands) {
    if (name !== "help") inner.push(...await commandsWith(flag, [...words, name]));
  }
  return flags.has(flag) ? [[...words], ...inner] : inner;
}

Deno.test("docs/json.md has every command with --json, its schema, and examples that fit it", async () => {
  const { text } = pages.find(({ path }) => path === "docs/json.md")!;
  const names = new Set((await commandsWith("--json")).map(schemaOf));
  const link = /\(json\/([\w-]+)\.schema\.json\)[^`]*```jsonl\n([^]*?)```$/gm;
  const examples = [...text.matchAll(link)];
  const shown = examples.map(([, name]) => name!).sort();
  assert.deepEqual(shown, ["error", ...names].sort());
  const files = (await Array.fromAsync(Deno.readDir(SCHEMAS))).map(({ name }) => name);
  assert.deepEqual(files.sort(), shown.map((name) => `${name}${SCHEMA_ENDING}`).sort());
  const headings = findHeadings(text);
  for (const [, name, lines] of examples) {
    const heading = `\`tutti ${name!.replace("-", " ")}\``;
    assert.ok(name === "error" || headings.includes(heading), `${heading} is no heading`);
    await checkJson(name!, lines!);
  }
});

Deno.test("code cites headings of docs/spec.md that are there", async () => {
  const spec = pages.find(({ path }) => path === "docs/spec.md")!;
  const headings = new Set(findHeadings(spec.text));
  const wrong: string[] = [];
  let count = 0;
  for (const folder of ["coordinator", "shared", "worker", "proto"]) {
    for await (const path of sourceFiles(join(ROOT, folder))) {
      const source = await Deno.readTextFile(path);
      const cited = findCitations(source);
      count += cited.length;
      wrong.push(...cited.filter((heading) => !headings.has(heading)).map((h) => `${path}: ${h}`));
      // A citation that gives no heading.
      if (/\bSPEC \d/.test(source)) wrong.push(`${path}: a number of a section`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(count >= 20, `only ${count} citations were found`);
});

Deno.test("the checks of pages find what is wrong", async () => {
  const page = (text: string): Page => ({ path: "docs/spec.md", text });
  const links = "[a](../nowhere.ts) [b](spec.md#no-such) [`nothing()`](../shared/errors.ts) " +
    '[`TuttiError`](../shared/errors.ts) <img src="no.png"> [c](https://example.org/x)';
  assert.deepEqual(await brokenLinks(page(links)), [
    "../nowhere.ts does not exist",
    "spec.md#no-such: docs/spec.md has no such heading",
    "shared/errors.ts exports no nothing",
    "no.png does not exist",
  ]);
  const block = "```sh\nX=1 tutti sampel a   # no such command\ndeno task tset\n" +
    'tutti sample "a --b" \\\n  --sed 1 && tutti sheet --seed 1 | tutti bench step --sede 2\n```\n';
  assert.deepEqual(await wrongCommands({ text: `${block}\`deno task fault --readmee\`` }), [
    'there is no "tutti sampel"',
    'there is no task "tset"',
    '"tutti sample" has no --sed',
    '"tutti bench step" has no --sede',
    'task "fault" has no --readmee',
  ]);
  assert.deepEqual(findCitations(' * (`docs/spec.md`,\n * "Two\n * words")'), ["Two words"]);
  assert.equal(anchorOf("What it is, and `why`"), "what-it-is-and-why");
});
