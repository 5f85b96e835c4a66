// Asks an echo from which address it sees us; whatever goes wrong is no answer.

import { request } from "undici";
import { addressIn } from "./proof.ts";

// An address is at most 15 characters long; what is much longer is a page.
const LONGEST_ANSWER = 1_024;

/** The address that the echo at `url` sees, or undefined when it does not say. Never rejects. */
export async function askEcho(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    // Without keep-alive: a kept connection would show the address that it was opened from, not today's.
    const { statusCode, body } = await request(url, { signal, reset: true });
    let answer = "";
    for await (const chunk of body) {
      answer += String(chunk);
      if (answer.length > LONGEST_ANSWER) return undefined;
    }
    return statusCode === 200 ? addressIn(answer) : undefined;
  } catch {
    return undefined;
  }
}
