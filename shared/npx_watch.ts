/**
 * Ends with `npx`. A signal to npm ends npm and its shell alone: what they started runs on under another parent, drawing for
 * nobody.
 *
 * @module
 */

/** What npm tells the programs that `npx` starts. */
const MARK = "npm_command";
const NPX = /\bnpm exec\b|\bnpx(-cli\.js)?\b/;
const LOOK_MS = 500;

interface Link {
  readonly pid: number;
  readonly parent: number;
}

/**
 * Sends this process SIGTERM when the `npx` that it was started by is gone. Only Linux tells. The processes that this one starts
 * do not inherit that: they end with it, or are meant to outlive it.
 */
export async function endWithNpx(): Promise<void> {
  const isNpx = Deno.env.get(MARK) === "exec";
  if (!isNpx || Deno.build.os !== "linux") return;
  Deno.env.delete(MARK);
  const chain = await chainToNpx();
  if (!chain) return;
  const timer = setInterval(async () => {
    const parents = await Promise.all(chain.map(({ pid }) => parentOf(pid)));
    if (parents.every((parent, i) => parent === chain[i]!.parent)) return;
    clearInterval(timer);
    Deno.kill(Deno.pid, "SIGTERM");
  }, LOOK_MS);
  Deno.unrefTimer(timer);
}

/** From this process up to the child of npx. */
async function chainToNpx(): Promise<readonly Link[] | undefined> {
  const chain: Link[] = [];
  for (let pid = Deno.pid; pid > 1;) {
    const parent = await parentOf(pid);
    if (parent === undefined) return undefined;
    chain.push({ pid, parent });
    const commandLine = await Deno.readTextFile(`/proc/${parent}/cmdline`).catch(() => "");
    if (NPX.test(commandLine.replaceAll("\0", " "))) return chain;
    pid = parent;
  }
  return undefined;
}

async function parentOf(pid: number): Promise<number | undefined> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const parent = /^PPid:\s*(\d+)$/m.exec(status)?.[1];
  return parent === undefined ? undefined : Number(parent);
}
