// Turns a connection's frames into texts: one streaming decompression context a connection, messages strictly in order.

import {
  constants,
  createInflate,
  createZstdDecompress,
  deflateSync,
  type Inflate,
  type ZstdDecompress,
  zstdCompressSync,
} from "node:zlib";

export type Compression = "zstd-stream" | "zlib-stream" | "none";

/** One connection's inflater. */
export interface Inflater {
  /** A frame as it came; its messages follow in order, at once or later. */
  push(data: Buffer, binary: boolean): void;
  /** Bytes taken and not delivered yet. */
  pending(): number;
  /** Frees the context; nothing is delivered after it. */
  close(): void;
}

export interface InflaterEvents {
  text(text: string): void;
  /** The stream is broken for good: the connection must go. */
  error(error: Error): void;
  /** `pending()` fell. */
  drained(): void;
}

/** A zlib-stream message is complete when its bytes end so (events/gateway#transport-compression). */
const ZLIB_SUFFIX = 0x0000_ffff;
const SUFFIX_BYTES = 4;

/** synchronous: on this thread, at once. streaming: Node's public streams, on another thread. */
export type InflaterKind = "synchronous" | "streaming";

/** An inflater for one connection, by default of the faster kind that this Node offers. */
export function createInflater(
  compression: Compression,
  events: InflaterEvents,
  kind: InflaterKind = compression === "none" || !worksSynchronously(compression) ? "streaming" : "synchronous",
  mostTextBytes = MOST_TEXT_BYTES,
): Inflater {
  if (compression === "none") return new Plain(events);
  return kind === "synchronous"
    ? new Synchronous(compression, events, mostTextBytes)
    : streaming(compression, events, mostTextBytes);
}

/** The part of a zlib stream's private handle that inflates in place; its shape is checked before use. */
interface Handle {
  onerror: (message: string) => void;
  writeSync(flush: number, from: Buffer, at: number, bytes: number, to: Buffer, toAt: number, toBytes: number): void;
  close(): void;
}

function isHandle(value: unknown): value is Handle {
  if (typeof value !== "object" || value === null) return false;
  return ["writeSync", "close"].every((name) => typeof Reflect.get(value, name) === "function");
}

/** Where every message of every connection is inflated to, one after the other; larger ones take several rounds. */
const scratch = Buffer.allocUnsafeSlow(256 * 1024);

/** A message beyond this is not Discord's. */
const MOST_TEXT_BYTES = 256 * 1024 * 1024;

const tested = new Map<Compression, boolean>();

/** Whether the private handle does in this Node what is expected of it; tried once for each compression. */
export function worksSynchronously(compression: "zstd-stream" | "zlib-stream"): boolean {
  const known = tested.get(compression);
  if (known !== undefined) return known;
  // Longer than the scratch, so that the rounds are tried too.
  const probe = "mooring ".repeat(scratch.length / 4);
  const frame =
    compression === "zstd-stream"
      ? zstdCompressSync(probe)
      : deflateSync(probe, { finishFlush: constants.Z_SYNC_FLUSH });
  let works = false;
  try {
    const events: InflaterEvents = {
      text: (text) => {
        works = text === probe;
      },
      error() {},
      drained() {},
    };
    const inflater = new Synchronous(compression, events, MOST_TEXT_BYTES);
    inflater.push(frame, true);
    inflater.close();
  } catch {
    works = false;
  }
  tested.set(compression, works);
  return works;
}

/**
 * Inflates through the private handle: the public streams cross threads for every frame, which costs more time than the
 * inflating, and memory without bound in a burst.
 */
class Synchronous implements Inflater {
  readonly #flush: number;
  readonly #endsMessage: (frame: Buffer) => boolean;
  readonly #events: InflaterEvents;
  readonly #mostTextBytes: number;
  readonly #stream: Inflate | ZstdDecompress;
  readonly #handle: Handle;
  /** What the last write left: bytes of room, bytes not read. */
  readonly #left: Uint32Array;
  #failure: string | undefined;
  /** What came of a message whose rest is to come. */
  #parts: Buffer[] | undefined;
  #partBytes = 0;
  #closed = false;

  constructor(compression: "zstd-stream" | "zlib-stream", events: InflaterEvents, mostTextBytes: number) {
    this.#flush = compression === "zstd-stream" ? constants.ZSTD_e_continue : constants.Z_SYNC_FLUSH;
    this.#endsMessage = messageEnds(compression);
    this.#events = events;
    this.#mostTextBytes = mostTextBytes;
    // The stream's own output buffer is never used; 64 bytes are the least it takes.
    const options = { chunkSize: 64 };
    this.#stream = compression === "zstd-stream" ? createZstdDecompress(options) : createInflate(options);
    const handle: unknown = Reflect.get(this.#stream, "_handle");
    const left: unknown = Reflect.get(this.#stream, "_writeState");
    if (!isHandle(handle) || !(left instanceof Uint32Array)) {
      throw new Error("this Node's zlib has another private handle");
    }
    this.#handle = handle;
    this.#left = left;
    handle.onerror = (message) => {
      this.#failure = message;
    };
  }

  push(data: Buffer, binary: boolean): void {
    if (this.#closed) return;
    if (!binary) {
      this.#events.text(data.toString("utf8"));
      return;
    }
    let at = 0;
    let written: number;
    for (;;) {
      this.#handle.writeSync(this.#flush, data, at, data.length - at, scratch, 0, scratch.length);
      if (this.#failure !== undefined) {
        this.#fail(this.#failure);
        return;
      }
      written = scratch.length - (this.#left[0] ?? 0);
      at = data.length - (this.#left[1] ?? 0);
      if (written < scratch.length) break;
      if (!this.#keep(written)) return;
    }
    if (!this.#endsMessage(data)) {
      this.#keep(written);
      return;
    }
    let text: string;
    if (this.#parts === undefined) text = scratch.toString("utf8", 0, written);
    else {
      text = Buffer.concat([...this.#parts, scratch.subarray(0, written)]).toString("utf8");
      this.#parts = undefined;
      this.#partBytes = 0;
    }
    if (text !== "") this.#events.text(text);
  }

  pending(): number {
    return 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts = undefined;
    this.#stream.destroy();
  }

  /** Sets a part of a message aside; false: it has become too long. */
  #keep(written: number): boolean {
    this.#parts ??= [];
    this.#parts.push(Buffer.from(scratch.subarray(0, written)));
    this.#partBytes += written;
    if (this.#partBytes <= this.#mostTextBytes) return true;
    this.#fail(tooLong(this.#mostTextBytes));
    return false;
  }

  #fail(message: string): void {
    this.close();
    this.#events.error(new Error(message));
  }
}

const tooLong = (most: number): string => `a message has more than ${most} bytes`;

/**
 * Tells of each frame of a connection whether it ends a message. zstd-stream: every frame does. zlib-stream: the one after
 * which all bytes so far end with the suffix, which may itself have come in several frames.
 */
function messageEnds(compression: "zstd-stream" | "zlib-stream"): (frame: Buffer) => boolean {
  if (compression === "zstd-stream") return () => true;
  let lastBytes = 0xffff_ffff;
  return (frame) => {
    if (frame.length >= SUFFIX_BYTES) lastBytes = frame.readUInt32BE(frame.length - SUFFIX_BYTES);
    else for (const byte of frame) lastBytes = ((lastBytes << 8) | byte) >>> 0;
    return lastBytes === ZLIB_SUFFIX;
  };
}

class Plain implements Inflater {
  readonly #events: InflaterEvents;

  constructor(events: InflaterEvents) {
    this.#events = events;
  }

  push(data: Buffer): void {
    this.#events.text(data.toString("utf8"));
  }

  pending(): number {
    return 0;
  }

  close(): void {}
}

/** Node's public streams: they inflate on another thread, so messages wait for each other here. */
function streaming(
  compression: "zstd-stream" | "zlib-stream",
  events: InflaterEvents,
  mostTextBytes: number,
): Inflater {
  const stream = compression === "zstd-stream" ? createZstdDecompress() : createInflate();
  const endsMessage = messageEnds(compression);
  const waiting: { data: Buffer; binary: boolean }[] = [];
  let pending = 0;
  let parts: Buffer[] = [];
  let partBytes = 0;
  let busy = false;
  let closed = false;

  const fail = (error: Error): void => {
    if (closed) return;
    close();
    events.error(error);
  };

  const close = (): void => {
    closed = true;
    waiting.length = 0;
    pending = 0;
    parts = [];
    stream.destroy();
  };

  const deliver = (data: Buffer): void => {
    // One message may come out in several chunks of up to 16 KiB, and in several frames before the suffix.
    if (!endsMessage(data)) return;
    const text = parts.length === 1 ? (parts[0] ?? data).toString("utf8") : Buffer.concat(parts).toString("utf8");
    parts = [];
    partBytes = 0;
    if (text !== "") events.text(text);
  };

  const next = (): void => {
    if (busy || closed) return;
    const frame = waiting.shift();
    if (frame === undefined) return;
    const { data, binary } = frame;
    const done = (): void => {
      busy = false;
      pending -= data.length;
      events.drained();
      next();
    };
    if (!binary) {
      events.text(data.toString("utf8"));
      done();
      return;
    }
    busy = true;
    let written = false;
    const finish = (): void => {
      if (!written || closed || stream.readableLength > 0) return;
      stream.off("data", collect);
      deliver(data);
      if (!closed) done();
    };
    const collect = (part: Buffer): void => {
      parts.push(part);
      partBytes += part.length;
      if (partBytes > mostTextBytes) fail(new Error(tooLong(mostTextBytes)));
      else finish();
    };
    stream.on("data", collect);
    stream.write(data, (error) => {
      if (error) return;
      written = true;
      finish();
    });
  };

  stream.on("error", fail);
  return {
    push(data, binary) {
      if (closed) return;
      waiting.push({ data, binary });
      pending += data.length;
      next();
    },
    pending: () => pending,
    close,
  };
}
