import assert from "node:assert/strict";
import { chooseModel } from "../../../coordinator/discovery/choose_model.ts";
import { announcement } from "../../shared/nats/announcements.ts";

const [PHOTO, ANIME, OTHER_PHOTO] = ["ab12", "cd34", "ab99"].map((text) => text.repeat(16));
const WORKERS = [
  announcement({ modelHash: PHOTO!, address: "a:1" }),
  announcement({ modelHash: PHOTO!, address: "a:2" }),
  announcement({ modelHash: ANIME!, address: "b:1", name: "anime" }),
];

Deno.test("chooseModel() takes a name, the beginning of a hash, or both", () => {
  assert.equal(chooseModel(WORKERS, { name: "photo" }), PHOTO);
  assert.equal(chooseModel(WORKERS, { hash: "cd" }), ANIME);
  const workers = [...WORKERS, announcement({ modelHash: OTHER_PHOTO!, address: "c:1" })];
  assert.equal(chooseModel(workers, { name: "photo", hash: "ab9" }), OTHER_PHOTO);
});

Deno.test("chooseModel() lists the candidates where it cannot choose", () => {
  assert.throws(() => chooseModel(WORKERS, { name: "phot" }), {
    code: "NOT_FOUND",
    message: 'No worker serves a model with name "phot" (did you mean "photo"?): there are ' +
      "photo ab12ab12ab (a:1, a:2), anime cd34cd34cd (b:1)",
  });
  assert.throws(() => chooseModel([], { name: "photo", hash: "ab" }), {
    message: 'No worker serves a model with name "photo" and hash "ab": there are none',
  });
  const workers = [...WORKERS, announcement({ modelHash: OTHER_PHOTO!, address: "c:1" })];
  for (const choice of [{ name: "photo" }, { hash: "ab" }]) {
    assert.throws(() => chooseModel(workers, choice), (error) => {
      assert.match(
        String(error),
        /Workers serve 2 models with .*: photo ab12ab12ab \(a:1, a:2\), photo ab99ab99ab \(c:1\)\. Say which one/,
      );
      return true;
    });
  }
});
