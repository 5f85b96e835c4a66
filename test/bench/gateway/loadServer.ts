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
  const stream = streams.get(modeOf(request.url));
  if (stream === undefined) return void socket.destroy();
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

onNote((note) => {
  switch (note.kind) {
    case "prepare": {
      const { port } = server.address() as AddressInfo;
      const mode = MODES.find((known) => known === note["mode"]);
      if (mode === undefined) return fail(new Error(`no such mode: ${String(note["mode"])}`));
      streams.set(mode, makeStream(mode, dispatches, numberOf(note, "dispatches"), `ws://127.0.0.1:${port}/`));
      return report({ kind: "prepared" });
    }
    case "send": {
      const upTo = numberOf(note, "dispatches") + 2;
      for (const socket of connections.keys()) write(socket, upTo);
      return;
    }
    case "cut":
      for (const socket of connections.keys()) socket.destroy();
  }
});
