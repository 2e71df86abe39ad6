/** Worker processes of the bundled experts that announce themselves on a NATS server with a login. @module */

import { writeFile } from "node:fs/promises";
import { NatsServer, testWithNats } from "./nats_server.ts";
import { TuttiHome, type TuttiProcess } from "./run_tutti.ts";
import { eventually } from "./serve_expert.ts";
import { zooPath } from "./zoo.ts";

/** The password contains a word that nothing may print. */
export const LOGIN = { user: "amy", password: "SECRET pass" };

/** A line of `tutti ps --json`. */
export interface PsLine {
  readonly name: string;
  readonly modelHash: string;
  readonly address: string;
  readonly state?: string;
}

export interface AnnouncedWorkers {
  readonly server: NatsServer;
  readonly home: TuttiHome;
  /** In which commands find the server. */
  readonly env: Readonly<Record<string, string>>;
  readonly workers: readonly TuttiProcess[];
  /** What `tutti ps` tells. */
  ps(): Promise<PsLine[]>;
}

/** A test with such workers, all of which `ps` lists; it fails if a process is left at its end. */
export function testWithAnnounced(
  name: string,
  experts: readonly string[],
  body: (announced: AnnouncedWorkers, t: Deno.TestContext) => Promise<void>,
): void {
  testWithNats(name, async (t) => {
    await using server = await NatsServer.start({ login: LOGIN });
    const home = await TuttiHome.create();
    const env = { TUTTI_NATS: server.urlFor(LOGIN) };
    const ps = () => home.json<PsLine>(["ps"], { env });
    try {
      const workers = experts.map((expert) =>
        home.start(
          [
            ...["worker", "--model", zooPath(expert), "--listen", "127.0.0.1:0"],
            "--json",
          ],
          { env, timeoutMs: 240_000 },
        )
      );
      for (const worker of workers) await worker.says(/"event":"ready"/);
      await eventually(async () => (await ps()).length === experts.length);
      await body({ server, home, env, workers, ps }, t);
      for (const { pid } of await home.workers()) Deno.kill(pid, "SIGTERM");
      await Promise.all(workers.map(({ result }) => result));
      await home.assertNoProcesses();
    } finally {
      await home.killProcesses();
      await Deno.remove(home.path, { recursive: true });
    }
  });
}

/** An ensemble file whose experts are named as workers name them, or by the hash that is given. */
export async function writeNamedEnsemble(
  home: TuttiHome,
  experts: Readonly<Record<string, { readonly hash?: string }>>,
): Promise<string> {
  const tables = Object.entries(experts).map(([name, { hash }]) =>
    `[[experts]]\nname = "${name}"\n` +
    (hash === undefined ? `model_name = "${name}"\n` : `model_hash = "${hash}"\n`)
  );
  const shared = ["vae", "tokenizer"].map((part) => `${part} = "${zooPath(part)}"\n`).join("");
  await writeFile(home.file("named.toml"), `name = "named"\n${shared}${tables.join("")}`);
  return "named.toml";
}

/** The flags that say the same of workers at addresses. */
export const SHARED_PARTS = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
