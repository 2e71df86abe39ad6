import assert from "node:assert/strict";
import type { TuttiError } from "../../shared/errors.ts";
import { JobFences } from "../../worker/job_fences.ts";

/** What the holders of sessions were told. */
function listener() {
  const told: TuttiError[] = [];
  return { told, tell: (error: TuttiError) => void told.push(error) };
}

Deno.test("a later owner ends the sessions of the one before, and only those", () => {
  const fences = new JobFences();
  const [first, second, other] = [listener(), listener(), listener()];
  fences.enter("a", 3, first.tell);
  fences.enter("a", 3, second.tell)();
  fences.enter("b", 1, other.tell);
  fences.enter("a", 5, () => {});
  assert.deepEqual(first.told.map(({ code, details }) => [code, details]), [
    ["FAILED_PRECONDITION", { field: "fence", job: "a", fence: "3", newest: "5" }],
  ]);
  assert.deepEqual([second.told, other.told], [[], []], "closed before, or of another job");
  fences.enter("a", 6, () => {});
  assert.equal(first.told.length, 1, "each is told once");
});

Deno.test("an earlier owner is refused, also when no session is open", () => {
  const fences = new JobFences();
  fences.enter("a", 5, () => {})();
  assert.throws(() => fences.enter("a", 4, () => {}), {
    code: "FAILED_PRECONDITION",
    message: 'Job "a" has another owner: fence must be 5 or more: current value is 4',
  });
  fences.enter("a", 5, () => {});
});

Deno.test("fences are forgotten when they are old or too many, those in use never", () => {
  let now = 0;
  const fences = new JobFences(() => now, 3);
  fences.enter("used", 9, () => {});
  for (const job of ["a", "b", "c", "d"]) fences.enter(job, 9, () => {})();
  assert.equal(fences.size, 3);
  fences.enter("a", 1, () => {})();
  assert.throws(() => fences.enter("d", 1, () => {}), { code: "FAILED_PRECONDITION" });
  now = 3_600_001;
  fences.enter("e", 1, () => {})();
  assert.equal(fences.size, 2);
  assert.throws(() => fences.enter("used", 1, () => {}), { code: "FAILED_PRECONDITION" });
  fences.enter("d", 1, () => {});
});
