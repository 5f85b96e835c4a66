// Transport compression: one context a connection, flushed at the end of each message (events/gateway#transport-compression).

import { constants, createDeflate, createZstdCompress } from "node:zlib";

export type Compression = "none" | "zlib-stream" | "zstd-stream";

/** `query` is what the URL says; undefined if there is no such compression. */
export function compressionOf(query: string | null): Compression | undefined {
  if (query === null) return "none";
  return query === "zlib-stream" || query === "zstd-stream" ? query : undefined;
}

/** Turns texts into frames, in order. */
export interface Compressor {
  push(text: string, done: (frame: string | Buffer) => void): void;
  /** Calls back when all that was pushed is done. */
  drained(callback: () => void): void;
  end(): void;
}

const plain: Compressor = {
  push: (text, done) => done(text),
  drained: (callback) => callback(),
  end: () => {},
};

type Job = { readonly text: string; readonly done: (frame: Buffer) => void } | { readonly callback: () => void };

export function compressor(kind: Compression): Compressor {
  if (kind === "none") return plain;
  const [stream, flush] =
    kind === "zlib-stream" ? [createDeflate(), constants.Z_SYNC_FLUSH] : [createZstdCompress(), constants.ZSTD_e_flush];
  let jobs: Job[] = [];
  let head = 0;
  let busy = false;
  let ended = false;
  let chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("error", () => {});

  const next = (): void => {
    if (ended) return;
    const job = jobs[head++];
    if (job === undefined) {
      jobs = [];
      head = 0;
      busy = false;
      return;
    }
    if ("callback" in job) {
      job.callback();
      next();
      return;
    }
    stream.write(job.text);
    stream.flush(flush, () => {
      if (ended) return;
      const frame = Buffer.concat(chunks);
      chunks = [];
      job.done(frame);
      next();
    });
  };
  const add = (job: Job): void => {
    jobs.push(job);
    if (busy) return;
    busy = true;
    next();
  };

  return {
    push: (text, done) => add({ text, done }),
    drained: (callback) => add({ callback }),
    end: () => {
      ended = true;
      stream.destroy();
    },
  };
}
