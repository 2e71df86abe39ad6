import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { barriers, browserTests, type Page, tabTo, until } from "./in_browser.ts";

interface DrawnJob {
  readonly status: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

const TOKEN = "0123456789abcdef";
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

async function write(page: Page, name: string, text: string): Promise<void> {
  await page.fill(`[name="${name}"]`, text);
}

async function drawnJob(page: Page): Promise<void> {
  await page.waitForSelector(".job.succeeded img");
}

async function draw(page: Page, values: Readonly<Record<string, string>>): Promise<void> {
  await page.waitForSelector("form");
  for (const [name, text] of Object.entries(values)) {
    await write(page, name, text);
  }
  await page.getByRole("button", { name: /^Draw/ }).click();
}

browserTests("the page in a browser", {
  "draws by keyboard alone, goes on watching after a reload, and cancels": {
    run: async (site) => {
      const page = await site.open();
      await page.waitForSelector("form");
      await tabTo(page, "[name=prompt]");
      await page.keyboard.type("a (red:1.3) heart");
      await page.waitForSelector(".weights mark.more");
      assert.match(await page.textContent(".label-row .number"), /^3 \/ \d+ tokens$/);
      await tabTo(page, "[name=steps]");
      await page.keyboard.type("900");
      await page.keyboard.press("Control+Enter");
      const value = `document.querySelector("progress")?.value ?? 0`;
      await until(page, `${value} > 0`);
      const before = await page.evaluate(value);
      await page.reload();
      await until(page, `${value} > ${before}`);
      const told = await page.textContent(".status-line");
      assert.match(told, /Step \d+ of 900/);
      await tabTo(page, ".status-line button");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".job.canceled");
      const { jobs } = await site.ask("/api/v1/jobs");
      assert.deepEqual(jobs.map(({ status }: { status: string }) => status), ["canceled"]);
      // What was written is still there.
      await tabTo(page, "[name=steps]");
      await page.keyboard.type("2");
      await page.keyboard.press("Enter");
      await drawnJob(page);
      assert.equal(await page.evaluate(`document.querySelector(".job img").naturalWidth`), 64);
      assert.match(await page.textContent("[role=status]"), /Finished: 1 picture/);
    },
  },

  "starts from a picture, and draws only where a mask is white": {
    run: async (site) => {
      const page = await site.open();
      await draw(page, { prompt: "a red heart", steps: "2", seed: "7" });
      await drawnJob(page);
      const { jobs: [first] } = await site.ask("/api/v1/jobs");
      const [name] = first.outputs.map(({ url }: { url: string }) => url);
      const picture = await page.evaluate(`fetch(${JSON.stringify(name)})
        .then((answer) => answer.arrayBuffer())
        .then((bytes) => Array.from(new Uint8Array(bytes)))`) as number[];
      const file = { name: "a.png", mimeType: "image/png", buffer: Buffer.from(picture) };
      await page.getByText("Start from a picture").click();
      await page.setInputFiles("[name=init]", file);
      await page.waitForSelector(".picture-input img");
      await write(page, "strength", "0.5");
      await page.setInputFiles("[name=mask]", file);
      await page.waitForSelector("[name=mask_blur]");
      await page.getByRole("button", { name: /^Draw/ }).click();
      await until(page, `document.querySelectorAll(".job.succeeded img").length > 0`);
      for (;;) {
        const { jobs } = await site.ask("/api/v1/jobs");
        const drawn = jobs.find(({ status, settings }: DrawnJob) =>
          settings.strength === 0.5 && status === "succeeded"
        );
        if (drawn) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  },

  "draws the same seed for several methods, side by side": {
    run: async (site) => {
      const page = await site.open();
      await page.waitForSelector("form");
      await page.selectOption("[name=compare]", "methods");
      await page.getByLabel("noise-average", { exact: true }).check();
      await page.getByLabel("only", { exact: true }).check();
      await draw(page, { prompt: "a red heart", steps: "2" });
      await until(page, `document.querySelectorAll(".job.succeeded img").length === 3`);
      assert.deepEqual(await page.locator(".job-title").allTextContents(), [
        "average",
        "noise-average",
        "only:round",
      ]);
      const { jobs } = await site.ask("/api/v1/jobs");
      const seeds = new Set(jobs.map(({ seeds }: { seeds: string[] }) => seeds.join()));
      assert.equal(seeds.size, 1);
      assert.match(await page.textContent(".stage-head"), new RegExp(`seed ${[...seeds]}`));
      // From one to the next, and back to all of them.
      await page.getByRole("link", { name: "Details" }).first().click();
      const method = page.getByRole("dialog").locator("dt:text-is('Method') + dd");
      await method.getByText("average", { exact: true }).waitFor();
      await page.keyboard.press("ArrowRight");
      await method.getByText("noise-average", { exact: true }).waitFor();
      assert.deepEqual(await barriers(page), []);
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      assert.equal(await page.locator(".job").count(), 3);
    },
  },

  "keeps pictures in the gallery, uses their settings again, and deletes them": {
    run: async (site) => {
      const page = await site.open();
      await draw(page, {
        prompt: "a blue square",
        steps: "3",
        seed: "18446744073709551615",
      });
      await drawnJob(page);
      await draw(page, { prompt: "something else", steps: "1", seed: "" });
      await until(page, `document.querySelector(".job img")?.alt.startsWith("something")`);
      await page.getByRole("link", { name: "Gallery" }).click();
      await page.getByRole("link", { name: /a blue square/ }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText("18446744073709551615").waitFor();
      await dialog.getByRole("button", { name: "Use these settings" }).click();
      await page.waitForSelector("form");
      const valueOf = (name: string) => page.inputValue(`[name="${name}"]`);
      assert.deepEqual(
        await Promise.all(["prompt", "seed", "steps", "schedule"].map(valueOf)),
        [
          "a blue square",
          "18446744073709551615",
          "3",
          "karras",
        ],
      );
      await page.goBack();
      await dialog.getByRole("button", { name: "Delete" }).click();
      await dialog.getByRole("button", { name: "Delete 1 picture" }).click();
      await dialog.waitFor({ state: "detached" });
      assert.equal(await page.locator(".thumbs li").count(), 1);
      const { jobs } = await site.ask("/api/v1/jobs?status=expired");
      assert.equal(jobs.length, 1);
    },
  },

  "says what is wrong where it is": {
    isRefused: true,
    run: async (site) => {
      const page = await site.open();
      await draw(page, { prompt: "a heart", steps: "0" });
      await page.waitForSelector("#field-steps-error");
      assert.match(await page.textContent("#field-steps-error"), /1\.\.1000/);
      assert.equal(await page.evaluate("document.activeElement.name"), "steps");
      await draw(page, { steps: "2", method_options: "nothing=1" });
      await page.getByRole("alert").getByText(/has no option "nothing"/)
        .waitFor();
      const { jobs } = await site.ask("/api/v1/jobs");
      assert.deepEqual(jobs, []);
    },
  },

  "keeps nobody out: by axe's rules, in light and dark, on a phone": {
    run: async (site) => {
      const { id } = await site.ask("/api/v1/jobs", { prompt: "a heart", steps: 1 });
      const views = {
        "draw": ".weights",
        [`draw/${id}`]: ".job.succeeded img",
        "gallery": ".thumbs img",
        [`gallery/${id}`]: "dialog img",
        "cluster": ".worker",
      };
      // What changes with the colours is contrast.
      const looks: readonly { readonly options: object; readonly rules?: readonly string[] }[] = [
        { options: { colorScheme: "light" } },
        { options: { colorScheme: "dark" }, rules: ["color-contrast"] },
        { options: PHONE, rules: ["target-size", "scrollable-region-focusable"] },
      ];
      for (const { options, rules } of looks) {
        const page = await site.open(options);
        await page.waitForSelector("form");
        await write(page, "prompt", "a (red:1.3) [blue] heart BREAK");
        for (const [view, selector] of Object.entries(views)) {
          await page.goto(`${site.url}/#/${view}`);
          await page.waitForSelector(selector);
          const where = `${view} ${JSON.stringify(options)}`;
          assert.deepEqual(await barriers(page, rules), [], where);
          const isTooWide = await page.evaluate(
            "document.scrollingElement.scrollWidth > innerWidth",
          );
          assert.equal(isTooWide, false, `${where} is wider than its window`);
        }
      }
    },
  },

  "lets in who has a token, with a cookie that no script reads": {
    tokens: `client:${TOKEN}`,
    isRefused: true,
    run: async (site) => {
      const page = await site.open();
      await write(page, "token", "wrong-0123456789abcdef");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#field-token-error");
      assert.deepEqual(await barriers(page), []);
      await write(page, "token", TOKEN);
      await page.keyboard.press("Enter");
      await draw(page, { prompt: "a heart", steps: "1" });
      await drawnJob(page);
      assert.equal(await page.evaluate("document.cookie"), "");
      await page.reload();
      await drawnJob(page);
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.waitForSelector("[name=token]");
      assert.equal(await page.evaluate("localStorage.length"), 0);
    },
  },
});
