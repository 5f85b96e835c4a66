// A service on loopback that answers a GET with an address, as the public ones do with the address they see.

import { createServer } from "node:http";

export interface Echo {
  readonly url: string;
  /** What it answers from now on. */
  answer(address: string): void;
  stop(): void;
}

export async function startEcho(address: string): Promise<Echo> {
  let current = address;
  const server = createServer((_request, response) => response.end(`${current}\n`));
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject).listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const bound = server.address();
  return {
    url: `http://127.0.0.1:${typeof bound === "object" ? bound?.port : ""}/`,
    answer(next) {
      current = next;
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
