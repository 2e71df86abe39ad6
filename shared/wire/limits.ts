/**
 * How much one message, call or session may be. Every number states its unit and its reason; a worker
 * publishes its own in Describe, and both ends check against them before they allocate.
 *
 * @module
 */

const MIB = 1024 * 1024;

/** Bytes of a message that are not the feature maps: text states of a long prompt, temb, headers. */
export const MESSAGE_SLACK_BYTES = 8 * MIB;

/**
 * Largest message in either direction, in bytes: 128 MiB. It is the stateless call of the widest block,
 * OUT09 (640 channels and a skip of 320 at latent resolution), for one 1024-pixel image with guidance
 * (2 rows of 128 x 128) in f32; SDXL has the same widths there. A session sends no skips, so two thirds of
 * it are the most that a 1024-pixel image needs. Feature maps on a session's plane are not part of a message, and
 * have no such limit.
 */
export const MAX_MESSAGE_BYTES = 2 * 128 * 128 * (640 + 320) * 4 + MESSAGE_SLACK_BYTES;

/** Bytes of a result beside its feature map: field tags, shape, times; generous. */
export const RESULT_OVERHEAD_BYTES = 1024;

/** Most encoded bytes of a tensor in one message of a session's stream: what grpc-js moves fastest, and what both ends buffer. */
export const MAX_PIECE_BYTES = MIB;

/** Longest error that travels in a trailer, in bytes of JSON: peers may cap all headers at 8 KiB, and base64 adds a third. */
export const MAX_ERROR_BYTES = 4096;

/** Longest name of a job, in characters: it is kept, also for a while after the job's last session. Ours have 64. */
export const MAX_JOB_LENGTH = 256;

/** Most dimensions of a tensor on the wire; ours have at most 4. */
export const MAX_RANK = 8;

/**
 * HTTP/2 flow-control window, in bytes, of both ends: without it the default of 64 KiB makes a feature
 * map wait for some hundred round trips. 16 MiB hold the widest map of a 512-pixel image with guidance.
 */
export const FLOW_WINDOW_BYTES = 16 * MIB;

/**
 * Silence after which a connection is probed, and time that the probe may take, in ms: notices a peer that vanished without
 * closing. The thread of a process on a busy machine may be at something else for many seconds, and a worker that hangs up on
 * its coordinator ends the call ("RST_STREAM with code 0"). A frozen worker is noticed sooner, by the coordinator's heartbeat.
 */
export const KEEPALIVE_MS = 20_000;
export const KEEPALIVE_TIMEOUT_MS = 40_000;

/** What one worker accepts. Published in Describe. */
export interface WorkerLimits {
  /** Largest serialized message, either direction, bytes. */
  readonly maxMessageBytes: number;
  /** Most rows (B) of one call or session. */
  readonly maxBatch: number;
  /** Largest latent, latent pixels. */
  readonly maxLatentHeight: number;
  readonly maxLatentWidth: number;
  /** Most tokens (L) of one row of text states. */
  readonly maxTokens: number;
  /** Most timesteps (T) of one call or session. */
  readonly maxTimesteps: number;
  /** Most sessions at a time. */
  readonly maxSessions: number;
  /** Most bytes that one session may hold. */
  readonly sessionBytes: number;
  /** Most bytes that all sessions may hold together. */
  readonly arenaBytes: number;
  /** A session without a command for this long is closed, seconds. */
  readonly idleLimitSeconds: number;
  /** Most single calls (not sessions) that may compute or wait for a lane at a time. */
  readonly maxCalls: number;
  /** Most sessions that may wait to be opened. */
  readonly maxWaiting: number;
  /** Most open sessions of one job. */
  readonly maxSessionsPerJob: number;
}

export const DEFAULT_LIMITS: WorkerLimits = {
  maxMessageBytes: MAX_MESSAGE_BYTES,
  // 16 images with guidance; message and session bytes bind earlier at usual sizes.
  maxBatch: 32,
  // 2048 pixels with the usual VAE factor of 8, twice what SDXL was trained at.
  maxLatentHeight: 256,
  maxLatentWidth: 256,
  // 16 prompt chunks of 77.
  maxTokens: 16 * 77,
  // The training schedules of all supported families have 1000 steps.
  maxTimesteps: 1000,
  // Sessions wait for each other's blocks; more than this only adds memory.
  maxSessions: 16,
  // A 1024-pixel image with guidance holds 203 MiB of skips, four of 512 pixels the same.
  sessionBytes: 512 * MIB,
  // Beside about 3.4 GB of f32 weights, this keeps a worker below 6 GB.
  arenaBytes: 2048 * MIB,
  // Longer than a whole step of the slowest other expert; short enough that lost clients do not fill the arena.
  idleLimitSeconds: 300,
  // Each may hold one message of input: a bound on memory.
  maxCalls: 32,
  // Each holds its text states, half a megabyte for an image with guidance: a bound on memory, and on the wait of the last.
  maxWaiting: 64,
  // All of them: whoever waits comes first as soon as a session of a greedy job ends.
  maxSessionsPerJob: 16,
};
