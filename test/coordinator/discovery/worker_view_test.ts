import assert from "node:assert/strict";
import { WorkerView } from "../../../coordinator/discovery/worker_view.ts";
import { announcement } from "../../shared/nats/announcements.ts";

const LIVE = { isLive: true };
const LISTED = { isLive: false };

/** A view with a clock that is set by hand. */
function viewAt() {
  const clock = { ms: 0 };
  const notices: string[] = [];
  const view = new WorkerView({
    now: () => clock.ms,
    leaseMs: 5_000,
    onNotice: (text) => void notices.push(text),
  });
  let changes = 0;
  view.onChange(() => changes++);
  const addresses = () => view.workers().map(({ address }) => address);
  return { view, clock, notices, addresses, changes: () => changes };
}

Deno.test("WorkerView forgets who says nothing new for a lease, not a moment earlier", () => {
  const { view, clock, addresses, changes } = viewAt();
  view.heard(announcement(), LIVE);
  assert.equal(view.nextExpiry, 5_000);
  clock.ms = 3_000;
  view.heard(announcement({ count: 2, queueDepth: 3 }), LIVE);
  assert.equal(view.workers()[0]!.queueDepth, 3);
  assert.equal(changes(), 1, "load alone is no change");
  view.expire(7_999, new Set(["w1"]));
  assert.deepEqual(addresses(), ["10.0.0.5:7070"]);
  view.expire(8_000, new Set(["w1"]));
  assert.deepEqual(addresses(), []);
  assert.equal(changes(), 2);
});

Deno.test("WorkerView takes no old announcement for news, however long the server keeps it", () => {
  const { view, clock, addresses } = viewAt();
  view.heard(announcement({ count: 4 }), LISTED);
  for (let i = 0; i < 10; i++) {
    clock.ms += 1_000;
    view.heard(announcement({ count: 4 }), LISTED);
    view.expire(clock.ms, new Set(["w1"]));
    assert.equal(addresses().length, clock.ms < 5_000 ? 1 : 0, `after ${clock.ms} ms`);
  }
  view.heard(announcement({ count: 5 }), LISTED);
  assert.equal(addresses().length, 1, "a later one is news");
  clock.ms += 6_000;
  view.expire(clock.ms, new Set());
  view.heard(announcement({ count: 1 }), LISTED);
  assert.equal(addresses().length, 1, "a server that began anew is believed");
});

Deno.test("WorkerView stays as it was while the server is away, and gives workers time to come back", () => {
  const { view, clock, addresses, changes } = viewAt();
  view.heard(announcement(), LIVE);
  view.heard(announcement({ id: "w2", address: "10.0.0.6:7070" }), LIVE);
  clock.ms = 4_000;
  view.freeze();
  clock.ms = 60_000;
  assert.equal(view.isStale, true);
  assert.equal(addresses().length, 2);
  view.thaw();
  assert.equal(view.isStale, false);
  clock.ms = 62_000;
  view.heard(announcement({ count: 2 }), LIVE);
  clock.ms = 64_999;
  view.expire(clock.ms, new Set());
  assert.equal(addresses().length, 2);
  clock.ms = 65_000;
  view.expire(clock.ms, new Set());
  assert.deepEqual(addresses(), ["10.0.0.5:7070"]);
  assert.equal(changes(), 5);
});

Deno.test("WorkerView shows who drains, who left, and who was started again", () => {
  const { view, addresses, changes, notices } = viewAt();
  view.heard(announcement(), LIVE);
  view.heard(announcement({ count: 2, draining: true }), LIVE);
  assert.equal(view.workers()[0]!.draining, true);
  assert.equal(changes(), 2);
  view.heard(announcement({ boot: "b2", count: 1 }), LIVE);
  assert.deepEqual(view.workers().map(({ boot }) => boot), ["b2"]);
  view.heard(announcement({ boot: "b1", count: 2 }), LISTED);
  assert.deepEqual(view.workers().map(({ boot }) => boot), ["b2"], "the one before stays gone");
  view.left("w1");
  view.left("w1");
  assert.deepEqual(addresses(), []);
  assert.equal(changes(), 4);
  assert.deepEqual(notices, []);
});

Deno.test("WorkerView keeps two workers of one id apart, and names them once", () => {
  const { view, addresses, notices } = viewAt();
  const [a, b] = [
    announcement({ boot: "a", address: "10.0.0.5:7070" }),
    announcement({ boot: "b", address: "10.0.0.6:7070", name: "anime" }),
  ];
  view.heard(a, LIVE);
  view.heard(b, LIVE);
  assert.deepEqual(notices, [], "it may have been started again elsewhere");
  for (let count = 2; count < 5; count++) {
    view.heard({ ...a, count }, LIVE);
    view.heard({ ...b, count }, LIVE);
  }
  assert.deepEqual(addresses(), ["10.0.0.6:7070", "10.0.0.5:7070"]);
  assert.equal(notices.length, 1);
  assert.match(
    notices[0]!,
    /two workers have the id w1: "photo" at 10\.0\.0\.5:7070 and "anime" at/,
  );
});

Deno.test("WorkerView keeps what it knows when somebody makes workers up by the thousand", () => {
  const { view, notices } = viewAt();
  view.heard(announcement(), LIVE);
  for (let i = 0; i < 5_000; i++) view.heard(announcement({ id: `made-up-${i}` }), LIVE);
  assert.equal(view.workers().length, 4096);
  view.heard(announcement({ count: 2, queueDepth: 7 }), LIVE);
  assert.equal(view.workers().find(({ id }) => id === "w1")!.queueDepth, 7);
  view.left("made-up-0");
  view.heard(announcement({ id: "w2" }), LIVE);
  assert.ok(view.workers().some(({ id }) => id === "w2"));
  assert.deepEqual(notices, []);
});
