/**
 * How long a coordinator waits for a worker. Every wait ends; each number states its unit and reason.
 *
 * @module
 */

/** Finding the worker and its description, ms: enough for a slow network, short enough for a mistyped address. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Between two questions to a worker that is still loading, ms. */
export const LOADING_POLL_MS = 250;

/** Status, health, list of sessions, ms: answered from memory, on a thread that never computes. */
export const STATUS_DEADLINE_MS = 5_000;

/** Text encoding, time embeddings and opening a session, ms: seconds of work, behind other people's blocks. */
export const SMALL_WORK_DEADLINE_MS = 120_000;

/** One block, ms: the widest of a 1024-pixel image takes tens of seconds on one core, and may have to wait for a lane. */
export const BLOCK_DEADLINE_MS = 300_000;

/** The way back through one block, ms: it computes the block again, and costs about twice as much beyond that. */
export const BACKWARD_DEADLINE_MS = 3 * BLOCK_DEADLINE_MS;

/** Keeping the input of a range, ms: nothing is computed, but an 80 MB feature map may come over a slow wire. */
export const RESTORE_DEADLINE_MS = 60_000;

/** Closing a session, ms; after it the stream is cancelled, which frees the session too. */
export const CLOSE_DEADLINE_MS = 5_000;

/** After a connection breaks, ms until it is tried again: first, and at most. */
export const RECONNECT_MIN_MS = 100;
export const RECONNECT_MAX_MS = 5_000;

/** Opening a plane that a worker offered, ms: on the way to it a packet may be lost, and the next plane waits. */
export const PLANE_TIMEOUT_MS = 3_000;
