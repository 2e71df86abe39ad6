import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../../coordinator/http/store/sqlite_store.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { checkStore, servedJob } from "./job_store_contract.ts";

Deno.test("SqliteStore keeps jobs as every store does", async () => {
  await using folder = await tempFolder();
  await checkStore(() => SqliteStore.open(folder.join("state")));
});

Deno.test("SqliteStore belongs to one server at a time", async () => {
  await using folder = await tempFolder();
  {
    await using _store = await SqliteStore.open(folder.path);
    await assert.rejects(SqliteStore.open(folder.path), { code: "FAILED_PRECONDITION" });
  }
  await using _store = await SqliteStore.open(folder.path);
});

Deno.test("SqliteStore refuses what it cannot read, and tells when it cannot write", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(folder.join("file"), "");
  const unusable = { name: "FormatError", message: /^Cannot keep jobs in .*--state$/ };
  await assert.rejects(SqliteStore.open(folder.join("file")), unusable);
  await Deno.writeTextFile(
    folder.join("jobs.sqlite"),
    "not a database at all, and long enough".repeat(9),
  );
  await assert.rejects(SqliteStore.open(folder.path), unusable);
  await Deno.remove(folder.join("jobs.sqlite"));
  {
    using newer = new DatabaseSync(folder.join("jobs.sqlite"));
    newer.exec("PRAGMA user_version = 7");
  }
  await assert.rejects(SqliteStore.open(folder.path), /must have version 1: current value is 7/);
  await Deno.remove(folder.join("jobs.sqlite"));
  await using store = await SqliteStore.open(folder.path);
  {
    using other = new DatabaseSync(folder.join("jobs.sqlite"));
    other.exec("DROP TABLE jobs");
  }
  await assert.rejects(store.add(servedJob("a")), { code: "UNAVAILABLE" });
});
