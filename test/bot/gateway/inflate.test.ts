// Both kinds of inflater: messages of every size, in order, through one context, and a broken stream told once.

import { once } from "node:events";
import { constants, createDeflate, createZstdCompress } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { createInflater, type Inflater, type InflaterKind, worksSynchronously } from "../../../bot/gateway/inflate.ts";

type Compressed = "zstd-stream" | "zlib-stream";

/** One context for all texts, flushed after each, as Discord compresses. */
async function compress(compression: Compressed, texts: readonly string[]): Promise<Buffer[]> {
  const stream = compression === "zstd-stream" ? createZstdCompress() : createDeflate();
  const flush = compression === "zstd-stream" ? constants.ZSTD_e_flush : constants.Z_SYNC_FLUSH;
  let parts: Buffer[] = [];
  stream.on("data", (part: Buffer) => parts.push(part));
  const frames: Buffer[] = [];
  for (const text of texts) {
    stream.write(text);
    await new Promise<void>((resolve) => stream.flush(flush, resolve));
    frames.push(Buffer.concat(parts));
    parts = [];
  }
  stream.destroy();
  await once(stream, "close");
  return frames;
}

const open: Inflater[] = [];
afterEach(() => {
  for (const inflater of open.splice(0)) inflater.close();
});

function collect(compression: Compressed, kind: InflaterKind, expected: number, mostTextBytes?: number) {
  const texts: string[] = [];
  const errors: Error[] = [];
  const done = Promise.withResolvers<void>();
  const settle = (): void => {
    if (texts.length + errors.length >= expected) done.resolve();
  };
  const events = {
    text(text: string) {
      texts.push(text);
      settle();
    },
    error(error: Error) {
      errors.push(error);
      settle();
    },
    drained() {},
  };
  const inflater = createInflater(compression, events, kind, mostTextBytes);
  open.push(inflater);
  return { inflater, texts, errors, done: done.promise };
}

const noise = (bytes: number): string =>
  Array.from({ length: bytes }, (_, index) =>
    String.fromCharCode(32 + ((index * 7919 * ((index >> 5) + 1)) % 90)),
  ).join("");

const KINDS = (["zstd-stream", "zlib-stream"] as const).flatMap((compression) =>
  (["synchronous", "streaming"] as const).map((kind) => ({ compression, kind })),
);

describe("the inflater", () => {
  it("has a fast kind in this Node", () => {
    expect(worksSynchronously("zstd-stream")).toBe(true);
    expect(worksSynchronously("zlib-stream")).toBe(true);
  });

  it.each(KINDS)("$compression, $kind: delivers every size in order", async ({ compression, kind }) => {
    const sizes = [1, 2, 1_000, 16_384, 65_536, 65_537, 262_144, 262_145, 1_500_000, 3, 0x10000];
    const texts = sizes.map((size, index) => (index % 2 === 0 ? noise(size) : "é".repeat(size)));
    const frames = await compress(compression, texts);
    const subject = collect(compression, kind, texts.length);
    for (const frame of frames) subject.inflater.push(frame, true);
    await subject.done;
    expect(subject.texts.map((text) => text.length)).toEqual(texts.map((text) => text.length));
    expect(subject.texts.every((text, index) => text === texts[index])).toBe(true);
    expect(subject.errors).toEqual([]);
  });

  it.each(KINDS)("$compression, $kind: tells a broken stream once and goes silent", async ({ compression, kind }) => {
    const [good = Buffer.alloc(0)] = await compress(compression, ["good"]);
    const subject = collect(compression, kind, 2);
    subject.inflater.push(good, true);
    subject.inflater.push(Buffer.from("this is no compressed frame\0\0\xff\xff", "latin1"), true);
    await subject.done;
    subject.inflater.push(good, true);
    expect(subject.texts).toEqual(["good"]);
    expect(subject.errors).toHaveLength(1);
  });

  it.each(
    (["synchronous", "streaming"] as const).flatMap((kind) => [1, 2, 3, 4, 5, 10].map((bytes) => ({ kind, bytes }))),
  )("zlib-stream, $kind: joins messages that come in pieces of $bytes bytes", async ({ kind, bytes }) => {
    const texts = ["first ä", "second", "", noise(500), "last"];
    const subject = collect("zlib-stream", kind, 4);
    for (const frame of await compress("zlib-stream", texts)) {
      for (let at = 0; at < frame.length; at += bytes) subject.inflater.push(frame.subarray(at, at + bytes), true);
      // An empty frame ends nothing anew.
      subject.inflater.push(Buffer.alloc(0), true);
    }
    await subject.done;
    expect(subject.texts).toEqual(texts.filter((text) => text !== ""));
    expect(subject.errors).toEqual([]);
  });
});

describe("a message that never ends", () => {
  const kinds = ["synchronous", "streaming"] as const;

  it.each(kinds)("is given up once it is too long, inflated in one frame (%s)", async (kind) => {
    const { inflater, texts, errors, done } = collect("zstd-stream", kind, 1, 400_000);
    const [frame] = await compress("zstd-stream", ["x".repeat(1_000_000)]);
    inflater.push(frame ?? Buffer.alloc(0), true);
    await done;
    expect(texts).toEqual([]);
    expect(errors.map(({ message }) => message)).toEqual(["a message has more than 400000 bytes"]);
    expect(inflater.pending()).toBe(0);
  });

  it.each(kinds)("is given up once it is too long, in many frames without an end (%s)", async (kind) => {
    const { inflater, texts, errors, done } = collect("zlib-stream", kind, 1, 50_000);
    const frames = await compress("zlib-stream", Array(10).fill(noise(10_000)));
    // Without its last byte no frame ends a message; it begins the next frame instead.
    let rest = Buffer.alloc(0);
    for (const frame of frames) {
      const all = Buffer.concat([rest, frame]);
      inflater.push(all.subarray(0, -1), true);
      rest = all.subarray(-1);
    }
    await done;
    expect(texts).toEqual([]);
    expect(errors).toHaveLength(1);
  });
});
