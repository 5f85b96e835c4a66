// One connection's protocol: HELLO, heartbeats, IDENTIFY or RESUME, and what each wrong payload costs.

import type { Cancel } from "../../../bot/clock.ts";
import { type RuleName, tally } from "../journal.ts";
import { CLOSE, FATAL_CLOSE_CODES, OP, SESSION_ENDING_CLOSE_CODES } from "../protocol.ts";
import { Heartbeat } from "../rules/heartbeat.ts";
import type { Event, Session } from "../rules/session.ts";
import { SlidingWindow } from "../rules/slidingWindow.ts";
import {
  type Host,
  type IdentifyVerdict,
  judgeIdentify,
  judgeResume,
  type Place,
  type ResumeVerdict,
} from "./authentication.ts";
import { Commands } from "./commands.ts";
import type { Hub } from "./hub.ts";
import { CLIENT_OPS, frame, parsePayload } from "./payloads.ts";
import type { GatewaySocket } from "./socket.ts";
import { greetSession } from "./start.ts";

type State =
  /** `refused`: op 9 has been said here, so that IDENTIFY is right on any host. */
  | { readonly kind: "unauthenticated"; readonly refused: boolean }
  /** An IDENTIFY was taken and READY never comes, as in an outage. */
  | { readonly kind: "held" }
  | { readonly kind: "live"; readonly session: Session; readonly commands: Commands }
  | { readonly kind: "over" };

type Acknowledgements =
  | { readonly kind: "prompt" }
  | { readonly kind: "none" }
  | { readonly kind: "late"; readonly ms: number };

/** events/gateway#rate-limiting */
const PAYLOADS = 120;
const PAYLOADS_MS = 60_000;
/** events/gateway#sending-events */
const PAYLOAD_BYTES = 4_096;
/** Discord closes a connection some seconds after op 7; this is the simulator's choice. */
const RECONNECT_PATIENCE_MS = 5_000;
/** How long a peer may take to answer a close before the connection is cut; the simulator's choice. */
const CLOSE_PATIENCE_MS = 30_000;

export class Connection {
  readonly host: Host;
  readonly #hub: Hub;
  readonly #socket: GatewaySocket;
  readonly #parameters: string;
  readonly #payloads = new SlidingWindow(PAYLOADS, PAYLOADS_MS);
  readonly #heartbeat: Heartbeat;
  #state: State = { kind: "unauthenticated", refused: false };
  #acknowledgements: Acknowledgements = { kind: "prompt" };
  #toldToReconnect = false;
  #deaf = false;
  #cancelHeartbeat: Cancel = () => {};
  #cancelReconnect: Cancel = () => {};

  constructor(hub: Hub, socket: GatewaySocket, host: Host, parameters: string) {
    this.#hub = hub;
    this.#socket = socket;
    this.host = host;
    this.#parameters = parameters;
    this.#heartbeat = new Heartbeat(hub.clock.now(), hub.options.heartbeatIntervalMs);
  }

  get session(): Session | undefined {
    return this.#state.kind === "live" ? this.#state.session : undefined;
  }

  /** Says HELLO, unless a fault says otherwise. */
  greet(): void {
    const greeting = this.#hub.script.greetings.shift();
    if (greeting !== undefined) this.#trouble();
    if (greeting === "silence") return;
    if (greeting !== undefined) this.reconnect();
    if (greeting === "reconnect only") return;
    this.#socket.send(frame(OP.hello, { heartbeat_interval: this.#hub.options.heartbeatIntervalMs }));
    this.#awaitHeartbeat();
  }

  receive(text: string, bytes: number): void {
    if (this.#state.kind === "over") return;
    if (!this.#payloads.take(this.#hub.clock.now())) {
      this.#fault("send.rate", "the 121st payload within 60 s", CLOSE.rateLimited, "Rate limited.");
      return;
    }
    if (bytes > PAYLOAD_BYTES) {
      this.#fault("send.size", `${bytes} bytes`, CLOSE.decodeError, "Payload too large.");
      return;
    }
    const payload = parsePayload(text);
    if (payload === undefined) {
      this.#fault("send.decode", `${bytes} bytes without an op`, CLOSE.decodeError, "Error while decoding payload.");
      return;
    }
    const { op, d } = payload;
    if (!CLIENT_OPS.has(op)) {
      this.#unknown(`op ${op}`);
      return;
    }
    if (this.#state.kind === "live") this.#state.session.answered();
    if (op === OP.heartbeat) this.#beat(d);
    else if (op === OP.identify || op === OP.resume) this.#authenticate(op, d);
    else if (this.#state.kind !== "live") this.#unauthenticated(op);
    else {
      const problem = this.#state.commands.obey(op, d);
      if (problem !== undefined) this.#unknown(problem);
    }
    this.#hub.journal.changed();
  }

  /** Sends an event that the session has numbered. */
  event(event: Event): void {
    this.#socket.send(event.frame);
  }

  /** Closes by the server's will; whether the session outlives it follows from the code. */
  close(code: number, reason = ""): void {
    if (this.#state.kind === "over") return;
    const hub = this.#hub;
    const { session } = this;
    tally(hub.journal.counts.serverCloses, code);
    this.#over();
    if (session !== undefined) {
      if (SESSION_ENDING_CLOSE_CODES.has(code) || FATAL_CLOSE_CODES.has(code)) hub.end(session, "invalidated");
      else hub.detach(session, this);
    }
    if (FATAL_CLOSE_CODES.has(code)) hub.fatal = { code, at: hub.clock.now() };
    this.#socket.close(code, reason);
    hub.timers.after(CLOSE_PATIENCE_MS, () => this.#socket.destroy());
    hub.journal.changed();
  }

  /** The socket has ended. `code` as the client closed it, 1006 for a bare end, undefined if we closed. */
  ended(code: number | undefined): void {
    const hub = this.#hub;
    const { session } = this;
    hub.connections.delete(this);
    if (code !== undefined) tally(hub.journal.counts.clientCloses, code);
    const ending = code === 1000 || code === 1001;
    if (ending && (this.#toldToReconnect || this.#acknowledgements.kind === "none")) {
      const why = this.#toldToReconnect ? "op 7" : "heartbeats without ACK";
      hub.journal.violate("close.resumable", `close ${code} after ${why}: the session is gone`);
    }
    this.#over();
    if (session !== undefined && ending) hub.end(session, "closed by the client");
    else if (session !== undefined) hub.detach(session, this);
    hub.journal.changed();
  }

  /** The session was taken over by another connection. */
  superseded(): void {
    this.#over();
    this.#socket.destroy();
  }

  /** Op 7: come back at once; the connection is closed 5 s later. */
  reconnect(): void {
    this.#toldToReconnect = true;
    this.#socket.send(frame(OP.reconnect, null));
    this.#cancelReconnect = this.#hub.timers.after(RECONNECT_PATIENCE_MS, () => {
      if (this.#deaf) return;
      this.#hub.journal.violate("reconnect.ignored", `shard ${this.session?.identity.shard.id ?? "without a session"}`);
      this.close(1001, "Discord WebSocket requesting client reconnect.");
    });
  }

  /** Op 9, at any time. */
  invalidate(resumable: boolean): void {
    const { session } = this;
    if (session !== undefined) {
      if (resumable) this.#hub.detach(session, this);
      else this.#hub.end(session, "invalidated");
    }
    this.#refuse(resumable);
  }

  /** Op 1 from the server: a heartbeat must come at once. */
  requestHeartbeat(): void {
    this.#socket.send(frame(OP.heartbeat, null));
  }

  acknowledge(how: Acknowledgements): void {
    this.#acknowledgements = how;
  }

  /** The connection stays open, nothing is heard and nothing said. */
  blackHole(): void {
    this.#deaf = true;
    this.#trouble();
    this.#cancelHeartbeat();
    this.#socket.blackHole();
  }

  /** The client's close is answered after `afterMs`, or never. */
  ignoreClose(afterMs: number | undefined): void {
    this.#socket.ignoreClose((answer) => {
      if (afterMs !== undefined) this.#hub.timers.after(afterMs, answer);
    });
  }

  reset(): void {
    this.#trouble();
    this.#socket.reset();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #authenticate(op: number, data: unknown): void {
    const { counts } = this.#hub.journal;
    if (op === OP.identify) counts.identifies++;
    else counts.resumes++;
    if (this.#state.kind !== "unauthenticated") {
      this.#fault("identify.twice", `op ${op}`, CLOSE.alreadyAuthenticated, "Already authenticated.");
      return;
    }
    const place: Place = { host: this.host, parameters: this.#parameters, refused: this.#state.refused };
    if (op === OP.identify) this.#identify(judgeIdentify(this.#hub, data, place));
    else this.#resume(judgeResume(this.#hub, data, place));
  }

  #identify(verdict: IdentifyVerdict): void {
    const hub = this.#hub;
    switch (verdict.kind) {
      case "breach":
        this.#fault(verdict.rule, verdict.detail, verdict.code, verdict.reason);
        break;
      case "invalid session":
        this.#refuse(false);
        break;
      case "exhausted":
        this.close(CLOSE.authenticationFailed, "Authentication failed.");
        hub.resetToken();
        break;
      case "taken": {
        hub.journal.counts.identifiesAccepted++;
        if (hub.script.heldReadies > 0) {
          hub.script.heldReadies--;
          this.#state = { kind: "held" };
          break;
        }
        const { shard, intents } = verdict.identify;
        const session = hub.begin(this, { shard, intents, parameters: this.#parameters });
        this.#live(session, null);
        greetSession(hub, session, verdict.identify);
      }
    }
  }

  #resume(verdict: ResumeVerdict): void {
    const hub = this.#hub;
    if (verdict.kind === "breach") {
      this.#fault(verdict.rule, verdict.detail, verdict.code, verdict.reason);
      return;
    }
    if (verdict.kind === "invalid session") {
      this.#refuse(false);
      return;
    }
    const { session, events } = verdict;
    hub.attach(session, this);
    this.#live(session, verdict.sequence);
    const cut = hub.script.replayCuts.shift();
    for (const event of events.slice(0, cut)) this.event(event);
    if (cut !== undefined) {
      this.#trouble();
      this.#socket.cut();
      return;
    }
    hub.journal.counts.replayed += events.length;
    hub.journal.counts.resumed++;
    hub.tell(session, "RESUMED", '{"_trace":["[\\"simulated\\"]"]}');
  }

  #beat(data: unknown): void {
    const hub = this.#hub;
    const { session } = this;
    if (data !== null && !(typeof data === "number" && Number.isInteger(data))) {
      this.#unknown("a heartbeat's sequence");
      return;
    }
    hub.journal.counts.heartbeats++;
    const known = session?.sequence ?? (this.#state.kind === "unauthenticated" ? Number.MAX_SAFE_INTEGER : 0);
    const problem = this.#heartbeat.beat(hub.clock.now(), data, known);
    if (problem !== undefined) hub.journal.violate("heartbeat.sequence", problem);
    this.#awaitHeartbeat();
    const how = this.#acknowledgements;
    if (how.kind === "none") return;
    if (how.kind === "prompt") this.#socket.send(frame(OP.heartbeatAck, null));
    else hub.timers.after(how.ms, () => this.#socket.send(frame(OP.heartbeatAck, null)));
  }

  #awaitHeartbeat(): void {
    const hub = this.#hub;
    this.#cancelHeartbeat();
    this.#cancelHeartbeat = hub.timers.after(this.#heartbeat.deadline() - hub.clock.now(), () => {
      if (this.#state.kind === "over") return;
      const shard = this.session?.identity.shard.id ?? "without a session";
      hub.journal.violate("heartbeat.late", `shard ${shard}: none for 1.5 intervals`);
      this.close(CLOSE.unknownError, "No heartbeat.");
    });
  }

  #live(session: Session, sequence: number | null): void {
    this.#state = { kind: "live", session, commands: new Commands(this.#hub, session) };
    this.#heartbeat.restart(sequence);
  }

  #refuse(resumable: boolean): void {
    this.#state = { kind: "unauthenticated", refused: true };
    this.#heartbeat.restart(null);
    this.#socket.send(frame(OP.invalidSession, resumable));
  }

  /** A payload that was under way when op 9 went out is closed on, but nobody's fault. */
  #unauthenticated(op: number): void {
    const innocent = this.#state.kind === "unauthenticated" && this.#state.refused;
    if (!innocent) this.#hub.journal.violate("send.unauthenticated", `op ${op}`);
    this.close(CLOSE.notAuthenticated, "Not authenticated.");
  }

  #unknown(detail: string, rule: RuleName = "send.opcode"): void {
    this.#fault(rule, detail, CLOSE.unknownOpcode, "Unknown opcode.");
  }

  #fault(rule: RuleName, detail: string, code: number, reason: string): void {
    this.#hub.journal.violate(rule, detail);
    this.close(code, reason);
  }

  /** A connection that a fault breaks before it is live is the host's failure, in a client's eyes. */
  #trouble(): void {
    if (this.host === "resume") this.#hub.resumeHostTroubleAt = this.#hub.clock.now();
  }

  #over(): void {
    this.#state = { kind: "over" };
    this.#cancelHeartbeat();
    this.#cancelReconnect();
  }
}
