// How the address of an HTTP proxy is read from text: what may be shown is kept apart from what must not be.

import { Secret } from "./secret.ts";
import type { Syntax } from "./syntax.ts";

/** An HTTP proxy that opens tunnels (CONNECT, RFC 9110 section 9.3.6). */
export interface ProxyAddress {
  /** Whether the way to the proxy itself is encrypted. */
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** `user:password`, decoded. */
  readonly credentials: Secret | undefined;
}

const expects = "an http:// or https:// URL of a proxy, such as http://user:password@203.0.113.9:3128";

/** No problem repeats the text, since it may hold a password. */
export const proxyAddress: Syntax<ProxyAddress> = {
  expects,
  read(given) {
    const trimmed = given.trim();
    if (!URL.canParse(trimmed)) return { ok: false, problem: `is no URL; it must be ${expects}` };
    const { protocol, hostname, port, username, password, pathname, search } = new URL(trimmed);
    const secure = protocol === "https:";
    if (!secure && protocol !== "http:") return { ok: false, problem: `is a ${protocol} URL; it must be ${expects}` };
    if (pathname !== "/" || search !== "")
      return { ok: false, problem: "has a path; give the proxy's host and port alone" };
    let credentials: string;
    try {
      credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    } catch {
      return { ok: false, problem: "has a user name or password with a broken % escape; encode each % as %25" };
    }
    const value: ProxyAddress = {
      secure,
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? (secure ? 443 : 80) : Number(port),
      credentials: credentials === ":" ? undefined : new Secret(credentials),
    };
    return { ok: true, value };
  },
};
