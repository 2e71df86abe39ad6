import assert from "node:assert/strict";
import { logLine } from "../../../shared/telemetry/log_line.ts";

const TIME = Date.UTC(2026, 11, 1, 9, 58, 1, 500);

Deno.test("a line of a role's log has its time; a note, and what a command says at once, have none", () => {
  const entry = {
    level: "info",
    message: "session closed",
    fields: { job: "a b", ms: 3, no: undefined },
  };
  assert.equal(
    logLine({ ...entry, logger: "tutti.worker", time: TIME }),
    '2026-12-01T09:58:01Z info: session closed job="a b" ms=3\n',
  );
  const note = { level: "info", message: "Ready", logger: "tutti.worker", isNote: true };
  assert.equal(logLine({ ...note, time: TIME }), "Ready\n");
  assert.equal(logLine({ level: "warning", message: "Late" }), "warning: Late\n");
});
