/** The pages of the documentation, and what tests look at in them: links, headings, commands. @module */

import { join, relative, resolve } from "node:path";
import { DOCS, README } from "../../shared/project_files.ts";

export const ROOT: string = resolve(README, "..");

export interface Page {
  /** Relative to the repository's root. */
  readonly path: string;
  readonly text: string;
}

export interface Link {
  readonly text: string;
  /** As written: a path, a path with `#anchor`, or a URL. */
  readonly target: string;
}

/** README and every page in `docs/`. */
export async function readPages(): Promise<Page[]> {
  const names = (await Array.fromAsync(Deno.readDir(DOCS))).map(({ name }) => name).sort();
  const paths = [README, ...names.filter((n) => n.endsWith(".md")).map((n) => join(DOCS, n))];
  return await Promise.all(paths.map(async (path) => ({
    path: relative(ROOT, path),
    text: await Deno.readTextFile(path),
  })));
}

const FENCE = /^```(\w*)\n([^]*?)^```$/gm;

/** Links and pictures outside of blocks of code. */
export function findLinks(text: string): Link[] {
  const prose = text.replaceAll(FENCE, "");
  const links = [...prose.matchAll(/\[([^\]]*)\]\(([^)\s]+)\)/g)];
  const pictures = [...prose.matchAll(/<img src="([^"]+)"/g)];
  return [
    ...links.map(([, text, target]) => ({ text: text!, target: target! })),
    ...pictures.map(([, target]) => ({ text: "", target: target! })),
  ];
}

/** Headings as they are written, without their marks. */
export function findHeadings(text: string): string[] {
  return [...text.replaceAll(FENCE, "").matchAll(/^#{1,6} (.+)$/gm)].map(([, title]) => title!);
}

/** What a heading is called in a link, by GitHub's rules. */
export function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-");
}

/** The text of all `sh` blocks, then each span of code in the prose that begins like a command. */
export function findCommandTexts(text: string): string[] {
  const blocks = [...text.matchAll(FENCE)].filter(([, language]) => language === "sh");
  const spans = text.replaceAll(FENCE, "").matchAll(/`([^`]+)`/g);
  return [
    ...blocks.map(([, , block]) => block!),
    ...[...spans].map(([, span]) => span!.replaceAll("\n", " "))
      .filter((span) => /^(tutti|deno task|npx) /.test(span)),
  ];
}

/** Words of each command of a shell text. Comments, quotes and assignments before a command are gone. */
export function findCommands(text: string): string[][] {
  const commands: string[][] = [[]];
  const pattern =
    /(?:^|(?<=\s))#[^\n]*|\\\n|"([^"]*)"|'([^']*)'|(\n|&&|\|\|?|;|&)|((?:[^\s"'|;&\\]|\\[^\n])+)/g;
  for (const [, double, single, end, word] of text.matchAll(pattern)) {
    const value = double ?? single ?? word;
    if (end !== undefined) commands.push([]);
    else if (value !== undefined) commands.at(-1)!.push(value);
  }
  return commands.map((words) => {
    const first = words.findIndex((word) => word !== "export" && !/^\w+=/.test(word));
    return first < 0 ? [] : words.slice(first);
  }).filter((words) => words.length > 0);
}
