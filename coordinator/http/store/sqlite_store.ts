/** Jobs in a SQLite file, their newest steps in files beside it. @module */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { FormatError, TuttiError } from "../../../shared/errors.ts";
import { tryLockFile } from "../../../shared/lock_file.ts";
import { show } from "../../../shared/show.ts";
import { type CheckpointStore, FileCheckpoint } from "../../jobs/checkpoint_store.ts";
import type { JobQuery, JobStore } from "./job_store.ts";
import { decodeServedJob, encodeServedJob, type ServedJob } from "./served_job.ts";

/** Of the tables, as SQLite's user_version; 0 is a new file. */
const SCHEMA_VERSION = 1;
/** `seq` counts jobs as they come. Nulls are all different to UNIQUE: jobs without a key never collide. */
const SCHEMA = `
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    dialect TEXT NOT NULL,
    key TEXT,
    state TEXT NOT NULL,
    ended_at INTEGER,
    job TEXT NOT NULL,
    UNIQUE (owner, key)
  ) STRICT;
  CREATE INDEX jobs_by_state ON jobs (state, seq);
  PRAGMA user_version = ${SCHEMA_VERSION};`;

export class SqliteStore implements JobStore {
  readonly #database: DatabaseSync;
  readonly #folder: string;
  readonly #lock: Deno.FsFile;

  private constructor(database: DatabaseSync, folder: string, lock: Deno.FsFile) {
    this.#database = database;
    this.#folder = folder;
    this.#lock = lock;
  }

  /**
   * @throws {TuttiError} FAILED_PRECONDITION while another server keeps its jobs there
   * @throws {FormatError} if the folder cannot be written, or its file is none of ours
   */
  static async open(folder: string): Promise<SqliteStore> {
    let lock: Deno.FsFile | undefined;
    try {
      await mkdir(join(folder, "steps"), { recursive: true, mode: 0o700 });
      lock = await tryLockFile(join(folder, "lock"));
    } catch (cause) {
      throw unusable(folder, cause);
    }
    if (!lock) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `Another server keeps its jobs in ${show(folder)}: choose another --state`,
        { details: { folder } },
      );
    }
    try {
      return new SqliteStore(openDatabase(join(folder, "jobs.sqlite")), folder, lock);
    } catch (cause) {
      lock.close();
      throw unusable(folder, cause);
    }
  }

  add(job: ServedJob): Promise<ServedJob | undefined> {
    const { id, owner, dialect, state, idempotency } = job;
    const key = idempotency?.key ?? null;
    return attempt(() => {
      if (key !== null) {
        const [same] = this.#read("SELECT job FROM jobs WHERE owner = ? AND key = ?", owner, key);
        if (same) return same;
      }
      this.#database
        .prepare("INSERT INTO jobs (id, owner, dialect, key, state, job) VALUES (?, ?, ?, ?, ?, ?)")
        .run(id, owner, dialect, key, state, encodeServedJob(job));
      return undefined;
    });
  }

  get(id: string): Promise<ServedJob | undefined> {
    return attempt(() => this.#read("SELECT job FROM jobs WHERE id = ?", id)[0]);
  }

  put(job: ServedJob): Promise<void> {
    const { id, state, endedAt = null } = job;
    return attempt(() =>
      void this.#database.prepare("UPDATE jobs SET state = ?, ended_at = ?, job = ? WHERE id = ?")
        .run(state, endedAt, encodeServedJob(job), id)
    );
  }

  delete(id: string): Promise<void> {
    return attempt(() => void this.#database.prepare("DELETE FROM jobs WHERE id = ?").run(id));
  }

  list(query: JobQuery): Promise<readonly ServedJob[]> {
    const { limit, owner, dialect, states, before, endedBefore } = query;
    const marks = states?.map(() => "?").join(", ");
    const conditions: readonly (readonly [string, readonly SQLInputValue[]] | undefined)[] = [
      owner === undefined ? undefined : ["owner = ?", [owner]],
      dialect === undefined ? undefined : ["dialect = ?", [dialect]],
      states && [`state IN (${marks})`, states],
      before === undefined ? undefined : ["seq < (SELECT seq FROM jobs WHERE id = ?)", [before]],
      endedBefore === undefined ? undefined : ["ended_at < ?", [endedBefore]],
    ];
    const given = conditions.filter((condition) => condition !== undefined);
    const where = given.length === 0 ? "" : `WHERE ${given.map(([text]) => text).join(" AND ")}`;
    const values = given.flatMap(([, values]) => values);
    return attempt(() =>
      this.#read(`SELECT job FROM jobs ${where} ORDER BY seq DESC LIMIT ?`, ...values, limit)
    );
  }

  unfinished(): Promise<readonly ServedJob[]> {
    return attempt(() =>
      this.#read(
        "SELECT job FROM jobs WHERE state IN ('queued', 'running', 'canceling') " +
          "ORDER BY state = 'queued', seq",
      )
    );
  }

  checkpoint(id: string): CheckpointStore {
    return new FileCheckpoint(join(this.#folder, "steps", `${id}.ckpt`));
  }

  // deno-lint-ignore require-await -- the interface is asynchronous, SQLite is not
  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close();
    this.#lock.close();
  }

  #read(sql: string, ...values: readonly SQLInputValue[]): ServedJob[] {
    const rows = this.#database.prepare(sql).all(...values);
    return rows.map(({ job }) => decodeServedJob(String(job), "A job of the store"));
  }
}

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    // With FULL a commit is on the disk when it returns, whatever happens to the machine then.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    const version = Number(Object.values(database.prepare("PRAGMA user_version").get()!)[0]);
    if (version === 0) database.exec(`BEGIN; ${SCHEMA} COMMIT;`);
    else if (version !== SCHEMA_VERSION) {
      throw new Error(
        `jobs.sqlite must have version ${SCHEMA_VERSION}: current value is ${version}`,
      );
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function unusable(folder: string, cause: unknown): FormatError {
  return new FormatError(
    `Cannot keep jobs in ${show(folder)}: ${(cause as Error).message}. Choose another --state`,
    { cause, details: { folder } },
  );
}

/** A full disk, or one that is gone, is told as a service that is not available. */
// deno-lint-ignore require-await -- what is thrown becomes a rejection
async function attempt<T>(work: () => T): Promise<T> {
  try {
    return work();
  } catch (error) {
    if (error instanceof TuttiError) throw error;
    throw new TuttiError("UNAVAILABLE", `Jobs cannot be kept: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
