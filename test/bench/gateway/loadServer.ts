// The load server, a process of its own: greets whoever identifies, then writes dispatches as fast as the socket takes them.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { fail, numberOf, onNote, report } from "../worker.ts";
import { MODES, type Mode } from "./contexts.ts";
import { makeDispatches } from "./dispatches.ts";
import { makeStream, type Stream } from "./stream.ts";

const dispatches = makeDispatches();
const streams = new Map<Mode, Stream>();
/** What the client under way is to ask for: one that falls back to another form would be measured in the wrong column. */
let expected: Mode = "none";
const server = createServer();
const upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false });
/** Each identified connection, and how many messages it has got. */
const connections = new Map<Duplex, { readonly stream: Stream; messages: number }>();

const write = (socket: Duplex, upTo: number): void => {
  const connection = connections.get(socket);
  if (connection === undefined) return;
  const { ends, bytes } = connection.stream;
  const from = ends[connection.messages] ?? 0;
  const to = ends[upTo] ?? bytes.length;
  connection.messages = upTo;
  socket.write(bytes.subarray(from, to));
};

const modeOf = (url: string | undefined): Mode => {
  const asked = new URL(url ?? "/", "ws://127.0.0.1").searchParams.get("compress");
  return MODES.find((mode) => mode === asked) ?? "none";
};

server.on("upgrade", (request, socket, head) => {
  const mode = modeOf(request.url);
  const stream = streams.get(mode);
  if (stream === undefined || mode !== expected) {
    fail(new Error(`the client asked for ${mode} instead of ${expected}`));
    socket.destroy();
    return;
  }
  upgrades.handleUpgrade(request, socket, head, (webSocket: WebSocket) => {
    connections.set(socket, { stream, messages: 0 });
    socket.on("close", () => connections.delete(socket));
    webSocket.on("error", () => socket.destroy());
    webSocket.on("message", (data) => {
      const payload: unknown = JSON.parse(String(data));
      // Heartbeats get no answer: an ACK would not fit into the bytes made beforehand, and none is due for an hour.
      if (typeof payload === "object" && payload !== null && "op" in payload && payload.op === 2) write(socket, 2);
    });
    write(socket, 1);
  });
});

server.listen(0, "127.0.0.1", () => report({ kind: "listening", port: (server.address() as AddressInfo).port }));

function modeNamed(name: unknown): Mode {
  const mode = MODES.find((known) => known === name);
  if (mode === undefined) throw new Error(`no such mode: ${String(name)}`);
  return mode;
}

onNote((note) => {
  switch (note.kind) {
    case "prepare": {
      const { port } = server.address() as AddressInfo;
      const mode = modeNamed(note["mode"]);
      streams.set(mode, makeStream(mode, dispatches, numberOf(note, "dispatches"), `ws://127.0.0.1:${port}/`));
      return report({ kind: "prepared" });
    }
    case "expect":
      expected = modeNamed(note["mode"]);
      return;
    case "send": {
      const upTo = numberOf(note, "dispatches") + 2;
      for (const socket of connections.keys()) write(socket, upTo);
      return;
    }
    case "cut":
      for (const socket of connections.keys()) socket.destroy();
  }
});
