/**
 * One direction of a link: reads chunks from one socket, keeps each until it is due, and writes it to the other, with
 * the faults that were planned. Reading stops while as much is under way as the link may hold, so a sender feels a slow
 * receiver as it would without the link.
 *
 * @module
 */

import type { ShortSleep } from "./short_sleep.ts";

export interface Link {
  /** How long every byte is under way at least, ms. @default 0 */
  readonly delayMs?: number;
  /** Without it as fast as the sockets. */
  readonly bytesPerSecond?: number;
  /** Share of packets that are lost on the way and sent again, with everything behind them waiting. @default 0 */
  readonly loss?: number;
  /**
   * Most bytes under way; a link that is full takes no more.
   *
   * @default with a rate what it passes in the delay and 50 ms, otherwise 64 MiB
   */
  readonly maxBytesUnderWay?: number;
}

/** What goes wrong when byte `atByte` of a direction is next, counted from the connection's first, which is 0. */
export type Fault =
  /** This byte arrives with one bit turned, the others as they are. */
  | { readonly kind: "flip"; readonly atByte: number; readonly bit?: number }
  /** The connection ends: both sides see it. */
  | { readonly kind: "cut"; readonly atByte: number }
  /** Nothing more is passed on in this direction, but both sides stay open; a sender fills the link and then waits. */
  | { readonly kind: "stall"; readonly atByte: number }
  /** As `stall`, but what the sender says vanishes, its end included: it never waits. */
  | { readonly kind: "drop"; readonly atByte: number };

export interface LinkDirectionOptions {
  readonly from: Deno.TcpConn;
  readonly to: Deno.TcpConn;
  readonly link: Link;
  /** Called to end the whole connection. */
  readonly cut: () => void;
  readonly shortSleep: ShortSleep;
}

/** Bytes on their way, or the end of them. */
interface Chunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly dueMs: number;
  /** `closed` by the sender, who may still listen, or the sender is `lost`. */
  readonly end?: "closed" | "lost";
}

/** More than a socket commonly holds, so that one system call takes all there is. */
const READ_BYTES = 256 * 1024;
/** A link with a rate reads what it passes in this time: larger pieces would arrive all at once, and late. */
const READ_MS = 2;
const MIN_READ_BYTES = 4096;
/** A chunk costs this besides its bytes, so that many small ones are bounded too. */
const CHUNK_COST_BYTES = 256;
const MAX_BYTES = 64 * 2 ** 20;
/** What a link with a rate holds beyond its delay: a router's queue. */
const QUEUE_MS = 50;
const MAX_SPARE_BUFFERS = 8;
/** The end of a wait for which a timer is too coarse. */
const SHORT_MS = 3;
/** What a packet of Ethernet carries. */
const PACKET_BYTES = 1448;
/** Linux sends what was not acknowledged again after this at the earliest. */
const RETRANSMIT_MS = 200;
const NOTHING = new Uint8Array();

export class LinkDirection {
  readonly #from: Deno.TcpConn;
  readonly #to: Deno.TcpConn;
  readonly #delayMs: number;
  readonly #bytesPerSecond: number;
  readonly #loss: number;
  readonly #maxBytes: number;
  readonly #readBytes: number;
  readonly #cut: () => void;
  readonly #shortSleep: ShortSleep;
  readonly #faults: Fault[] = [];
  readonly #queue: Chunk[] = [];
  /** Buffers to read into again: at gigabytes a second new ones keep the garbage collector busy. */
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  #bytesUnderWay = 0;
  #passedBytes = 0;
  /** When the last byte that was read has left the sender's end of a link with a rate. */
  #sentMs = 0;
  #isStalled = false;
  #isDropping = false;
  #isStopped = false;
  #wakeReader = () => {};
  #wakeWriter = () => {};

  constructor({ from, to, link, cut, shortSleep }: LinkDirectionOptions) {
    const { delayMs = 0, bytesPerSecond = Infinity, loss = 0, maxBytesUnderWay } = link;
    this.#from = from;
    this.#to = to;
    this.#cut = cut;
    this.#shortSleep = shortSleep;
    this.#delayMs = delayMs;
    this.#bytesPerSecond = bytesPerSecond;
    this.#loss = loss;
    const perMs = bytesPerSecond / 1000;
    this.#readBytes = Math.min(READ_BYTES, Math.max(MIN_READ_BYTES, Math.ceil(perMs * READ_MS)));
    const inDelay = Math.max(this.#readBytes, perMs * (delayMs + QUEUE_MS));
    this.#maxBytes = maxBytesUnderWay ?? Math.min(MAX_BYTES, inDelay);
  }

  /** Bytes that the receiver was given. */
  get passedBytes(): number {
    return this.#passedBytes;
  }

  plan(fault: Fault): void {
    this.#faults.push(fault);
    this.#faults.sort((a, b) => a.atByte - b.atByte);
  }

  /** Keeps what is under way and what comes, the sender's end included. */
  stall(): void {
    this.#isStalled = true;
  }

  resume(): void {
    this.#isStalled = false;
    this.#wakeWriter();
  }

  /** Ends `run()` as soon as the sockets are closed, which is the caller's; what is under way is lost. */
  stop(): void {
    this.#isStopped = true;
    this.#wakeReader();
    this.#wakeWriter();
  }

  /** Settles when the sender has said all and it was passed on, or after `stop()`. */
  async run(): Promise<void> {
    await Promise.all([this.#read(), this.#write()]);
  }

  async #read(): Promise<void> {
    for (;;) {
      const buffer = this.#spare.pop() ?? new Uint8Array(this.#readBytes);
      // A failing read is a sender that is gone; the bytes before it are still under way.
      const count = await this.#from.read(buffer).catch(() => undefined);
      if (this.#isStopped) return;
      this.#sentMs = Math.max(this.#sentMs, performance.now()) +
        (count ?? 0) / this.#bytesPerSecond * 1000;
      const dueMs = this.#sentMs + this.#delayMs + this.#lossDelayMs(count ?? 0);
      if (count === null || count === undefined) {
        this.#push({ bytes: NOTHING, dueMs, end: count === null ? "closed" : "lost" });
        return;
      }
      // Small ones are copied: each would hold a whole buffer.
      const isSmall = count < buffer.length / 2;
      this.#push({ bytes: isSmall ? buffer.slice(0, count) : buffer.subarray(0, count), dueMs });
      if (isSmall) this.#giveBack(buffer);
      while (this.#bytesUnderWay >= this.#maxBytes && !this.#isStopped) {
        await new Promise<void>((resolve) => this.#wakeReader = resolve);
      }
    }
  }

  #push(chunk: Chunk): void {
    this.#bytesUnderWay += chunk.bytes.length + CHUNK_COST_BYTES;
    this.#queue.push(chunk);
    // Otherwise it is at work, or sleeps until the first chunk is due.
    if (this.#queue.length === 1) this.#wakeWriter();
  }

  /** What losses on the way add to the delay of so many bytes, ms. */
  #lossDelayMs(bytes: number): number {
    if (this.#loss === 0) return 0;
    const arrives = (1 - this.#loss) ** Math.ceil(bytes / PACKET_BYTES);
    return Math.random() < arrives ? 0 : RETRANSMIT_MS;
  }

  async #write(): Promise<void> {
    while (!this.#isStopped) {
      const [chunk] = this.#queue;
      const waitMs = (chunk?.dueMs ?? Infinity) - performance.now();
      if (!chunk || this.#isStalled || waitMs > 0) {
        await this.#sleep(this.#isStalled ? Infinity : waitMs);
        continue;
      }
      this.#queue.shift();
      if (chunk.end && this.#isDropping) return;
      if (chunk.end === "closed") {
        // A receiver that is gone already is told nothing.
        return await this.#to.closeWrite().catch(() => {});
      }
      if (chunk.end === "lost" || !await this.#pass(chunk)) return this.#cut();
      this.#bytesUnderWay -= chunk.bytes.length + CHUNK_COST_BYTES;
      this.#wakeReader();
    }
  }

  /** @returns whether the connection goes on */
  async #pass({ bytes, dueMs }: Chunk): Promise<boolean> {
    let rest = bytes;
    while (rest.length > 0 && !this.#isDropping) {
      const fault = this.#faults.find(({ atByte }) => atByte >= this.#passedBytes);
      const before = Math.min(rest.length, (fault?.atByte ?? Infinity) - this.#passedBytes);
      if (!await this.#send(rest.subarray(0, before))) return false;
      rest = rest.subarray(before);
      if (!fault || rest.length === 0) continue;
      this.#faults.splice(this.#faults.indexOf(fault), 1);
      if (fault.kind === "cut") return false;
      if (fault.kind === "drop") this.#isDropping = true;
      if (fault.kind === "flip") rest[0]! ^= 1 << (fault.bit ?? 0);
      if (fault.kind === "stall") {
        this.#isStalled = true;
        // Copied: the buffer is given back below. Accounted as the piece that it is a rest of.
        this.#queue.unshift({ bytes: rest.slice(), dueMs });
        this.#bytesUnderWay += rest.length + CHUNK_COST_BYTES;
        break;
      }
    }
    this.#giveBack(bytes);
    return true;
  }

  async #send(bytes: Uint8Array): Promise<boolean> {
    try {
      for (let offset = 0; offset < bytes.length;) {
        const count = await this.#to.write(bytes.subarray(offset));
        offset += count;
        this.#passedBytes += count;
      }
      return true;
    } catch {
      return false; // The receiver is gone.
    }
  }

  #giveBack({ buffer }: Uint8Array<ArrayBuffer>): void {
    const isWhole = buffer.byteLength === this.#readBytes;
    if (isWhole && this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(new Uint8Array(buffer));
  }

  /** Until something changes, or most of this time is over. */
  async #sleep(ms: number): Promise<void> {
    if (ms <= SHORT_MS) return await this.#shortSleep.sleep(ms);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeWriter = resolve;
    const timer = ms === Infinity ? undefined : setTimeout(resolve, ms - SHORT_MS);
    await promise;
    clearTimeout(timer);
  }
}
