// Turns a connection's frames into texts: one streaming decompression context a connection, messages strictly in order.

import { createInflate, createZstdDecompress } from "node:zlib";

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
const ZLIB_SUFFIX = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/** An inflater for one connection. */
export function createInflater(compression: Compression, events: InflaterEvents): Inflater {
  if (compression === "none") return plain(events);
  return streaming(compression, events);
}

function plain(events: InflaterEvents): Inflater {
  return {
    push: (data) => events.text(data.toString("utf8")),
    pending: () => 0,
    close() {},
  };
}

/** Node's public streams: they inflate on another thread, so messages wait for each other here. */
function streaming(compression: "zstd-stream" | "zlib-stream", events: InflaterEvents): Inflater {
  const stream = compression === "zstd-stream" ? createZstdDecompress() : createInflate();
  const waiting: { data: Buffer; binary: boolean }[] = [];
  let pending = 0;
  let parts: Buffer[] = [];
  let busy = false;
  let closed = false;

  const isComplete = (data: Buffer): boolean =>
    compression === "zstd-stream" || data.subarray(-ZLIB_SUFFIX.length).equals(ZLIB_SUFFIX);

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
    if (!isComplete(data)) return;
    const text = parts.length === 1 ? (parts[0] ?? data).toString("utf8") : Buffer.concat(parts).toString("utf8");
    parts = [];
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
      finish();
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
