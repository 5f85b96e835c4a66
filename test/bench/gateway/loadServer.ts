// The load server, a process of its own: greets whoever identifies, then writes dispatches as fast as the socket takes them.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { fail, numberOf, onNote, report, workerArgument } from "../worker.ts";
import { MODES, type Mode } from "./contexts.ts";
import { makeDispatches } from "./dispatches.ts";
import { makeStream, type Stream } from "./stream.ts";

/** One client's door: a port of its own, so that clients are told apart whatever they make of an address. */
interface Door {
  readonly server: Server;
  /** What the client is to ask for: one that falls back to another form would be measured in the wrong row. */
  expected: Mode;
  /** Each identified connection, and how many messages it has got. */
  readonly connections: Map<Duplex, { readonly stream: Stream; messages: number }>;
}

const dispatches = makeDispatches();
const streams = new Map<Mode, Stream>();
const upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const doors = await Promise.all(Array.from({ length: Number(workerArgument()) }, openDoor));

async function openDoor(): Promise<Door> {
  const door: Door = { server: createServer(), expected: "none", connections: new Map() };
  door.server.on("upgrade", (request, socket, head) => {
    const mode = modeOf(request.url);
    const stream = streams.get(mode);
    if (stream === undefined || mode !== door.expected) {
      fail(new Error(`the client asked for ${mode} instead of ${door.expected}`));
      socket.destroy();
      return;
    }
    upgrades.handleUpgrade(request, socket, head, (webSocket: WebSocket) => {
      door.connections.set(socket, { stream, messages: 0 });
      socket.on("close", () => door.connections.delete(socket));
      webSocket.on("error", () => socket.destroy());
      webSocket.on("message", (data) => {
        const payload: unknown = JSON.parse(String(data));
        // Heartbeats get no answer: an ACK would not fit into the bytes made beforehand, and none is due for an hour.
        if (typeof payload === "object" && payload !== null && "op" in payload && payload.op === 2) {
          write(door, socket, 2);
        }
      });
      write(door, socket, 1);
    });
  });
  await new Promise<void>((resolve) => door.server.listen(0, "127.0.0.1", resolve));
  return door;
}

function write(door: Door, socket: Duplex, upTo: number): void {
  const connection = door.connections.get(socket);
  if (connection === undefined) return;
  const { ends, bytes } = connection.stream;
  const from = ends[connection.messages] ?? 0;
  const to = ends[upTo];
  if (to === undefined) throw new Error(`the stream ends before message ${upTo}`);
  connection.messages = upTo;
  socket.write(bytes.subarray(from, to));
}

function modeOf(url: string | undefined): Mode {
  const asked = new URL(url ?? "/", "ws://127.0.0.1").searchParams.get("compress");
  return MODES.find((mode) => mode === asked) ?? "none";
}

function modeNamed(name: unknown): Mode {
  const mode = MODES.find((known) => known === name);
  if (mode === undefined) throw new Error(`no such mode: ${String(name)}`);
  return mode;
}

const urlOf = ({ server }: Door): string => `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;

function doorNumber(number: number): Door {
  const door = doors[number];
  if (door === undefined) throw new Error(`there is no door ${number}`);
  return door;
}

onNote((note) => {
  switch (note.kind) {
    case "prepare": {
      const mode = modeNamed(note["mode"]);
      streams.set(mode, makeStream(mode, dispatches, numberOf(note, "dispatches"), urlOf(doorNumber(0))));
      return report({ kind: "prepared" });
    }
    case "expect":
      doorNumber(numberOf(note, "door")).expected = modeNamed(note["mode"]);
      return;
    case "send": {
      const door = doorNumber(numberOf(note, "door"));
      for (const socket of door.connections.keys()) write(door, socket, numberOf(note, "dispatches") + 2);
      return;
    }
    case "cut":
      for (const socket of doorNumber(numberOf(note, "door")).connections.keys()) socket.destroy();
  }
});

report({ kind: "listening", urls: doors.map(urlOf) });
