// What a connection gets, made ready beforehand: every message serialised, compressed in one context, and framed.

import { compressor, type Mode } from "./contexts.ts";
import type { Dispatch } from "./dispatches.ts";

export interface Stream {
  readonly bytes: Buffer;
  /** `ends[n]` is where the first n messages end; message 1 is HELLO, 2 is READY, then come the dispatches. */
  readonly ends: Float64Array;
}

/** So long that no heartbeat falls into a measurement. */
const HEARTBEAT_INTERVAL_MS = 3_600_000;

/** RFC 6455, section 5.2: a final frame of text or binary data; a server's frames are not masked. */
const TEXT = 0x81;
const BINARY = 0x82;
const MOST_HEADER_BYTES = 4;

/** @param count dispatches. Two connections may get the same bytes: each has a context of its own at the other end. */
export function makeStream(mode: Mode, dispatches: readonly Dispatch[], count: number, url: string): Stream {
  const compress = mode === "none" ? undefined : compressor(mode);
  const ends = new Float64Array(count + 3);
  let bytes = Buffer.allocUnsafeSlow((count + 16) * (mode === "none" ? 1_400 : 500));
  let end = 0;
  let messages = 0;
  const add = (text: string): void => {
    const plain = Buffer.from(text);
    const payload = compress === undefined ? plain : compress(plain);
    if (payload.length > 0xffff) throw new Error("a message of the benchmark is too long for its frame header");
    if (end + payload.length + MOST_HEADER_BYTES > bytes.length) {
      const larger = Buffer.allocUnsafeSlow(bytes.length * 2);
      bytes.copy(larger, 0, 0, end);
      bytes = larger;
    }
    bytes[end++] = mode === "none" ? TEXT : BINARY;
    if (payload.length < 126) bytes[end++] = payload.length;
    else {
      bytes[end++] = 126;
      end = bytes.writeUInt16BE(payload.length, end);
    }
    end += payload.copy(bytes, end);
    ends[++messages] = end;
  };

  add(JSON.stringify({ t: null, s: null, op: 10, d: { heartbeat_interval: HEARTBEAT_INTERVAL_MS, _trace: [] } }));
  add(JSON.stringify({ t: "READY", s: 1, op: 0, d: ready(url) }));
  for (let index = 0; index < count; index++) {
    const dispatch = dispatches[index % dispatches.length];
    if (dispatch === undefined) throw new Error("there is nothing to dispatch");
    add(`{"t":"${dispatch.type}","s":${index + 2},"op":0,"d":${dispatch.data}}`);
  }
  return { bytes: bytes.subarray(0, end), ends };
}

function ready(url: string): object {
  return {
    v: 10,
    user_settings: {},
    user: { verified: true, username: "bench", mfa_enabled: true, id: "1100000000000000001", flags: 0, bot: true },
    shard: [0, 1],
    session_type: "normal",
    session_id: "0123456789abcdef0123456789abcdef",
    resume_gateway_url: url,
    relationships: [],
    private_channels: [],
    presences: [],
    guilds: [],
    guild_join_requests: [],
    geo_ordered_rtc_regions: [],
    auth: {},
    application: { id: "1100000000000000001", flags: 0 },
    _trace: [],
  };
}
