import assert from "node:assert/strict";
import { Crowd } from "../support/crowd.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT } from "../support/zoo.ts";

/** What it prints when it is ready. */
interface Ready {
  readonly url: string;
  readonly ensembles: readonly string[];
}

async function serve(home: TuttiHome) {
  const process = home.start(["serve", "--listen", "127.0.0.1:0", "--json"]);
  const [line] = await process.says(/^\{"version":1,"event":"ready".*\}$/m);
  return { process, ...JSON.parse(line) as Ready };
}

async function json(url: string, body?: unknown) {
  const response = await fetch(url, {
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
  return await response.json();
}

/** Reads a job's events until what they say matches. */
async function follow(url: string, pattern: RegExp): Promise<void> {
  const response = await fetch(url);
  let text = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (pattern.test(text)) return;
  }
  assert.fail(`${url} ended without ${pattern}: ${text.slice(-500)}`);
}

testTutti(
  "a server that is killed goes on where it was, to the bits of tutti sample",
  async (home) => {
    await home.expect(0, ["up"]);
    const job = { prompt: PROMPT, seed: 7, steps: 12 };
    const first = await serve(home);
    assert.deepEqual(first.ensembles, ["shapes"]);
    const jobs = await Promise.all(
      [job, { ...job, steps: 2 }].map((each) => json(`${first.url}/api/v1/jobs`, each)),
    );
    await follow(`${first.url}${jobs[0].urls.events}`, /"step":3,/);
    first.process.kill("SIGKILL");
    await first.process.result;

    const second = await serve(home);
    const sample = ["sample", PROMPT, "--seed", "7", "--steps", "12", "--out", "cli.png"];
    const [done] = await Promise.all([
      ...jobs.map(async ({ urls }) => {
        await follow(`${second.url}${urls.events}`, /"status":"succeeded"/);
        return await json(`${second.url}${urls.self}`);
      }),
      home.expect(0, sample),
    ]);
    const picture = await fetch(`${second.url}${done.outputs[0].url}`);
    const bytes = new Uint8Array(await picture.arrayBuffer());
    assert.deepEqual(bytes, await Deno.readFile(home.file("cli.png")));
    second.process.kill("SIGTERM");
    assert.equal((await second.process.result).code, 0);
    await home.expect(0, ["down"]);
  },
);

testTutti("a server in a crowd of silent connections answers, and ends them", async (home) => {
  const { process, url } = await serve(home);
  const { host } = new URL(url);
  const files = () => [...Deno.readDirSync(`/proc/${process.pid}/fd`)].length;
  const before = files();
  await using crowd = await Crowd.of(1500, host);
  // One address gets half of the places, and there are 1,000 at most.
  await eventually(() => crowd.closed >= 1000);
  assert.ok((await json(`${url}/api/v1/methods`)).methods.length > 0);
  await eventually(() => crowd.closed === 1500);
  assert.ok(files() < before + 50);
  process.kill("SIGTERM");
  assert.equal((await process.result).code, 0);
});
