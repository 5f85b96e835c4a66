// Whether the address that the bot is seen from is one of its own, and when to look again (pure).

/** Nothing changes by itself; an address that is lost is noticed within the hour. */
export const LOOK_EVERY_MS = 3_600_000;
/** A wrong address is looked at again at once: one odd answer is then over before the alarm's three minutes are. */
export const DOUBT_EVERY_MS = 60_000;
/** An echo that is down gets time to come back; it is somebody else's. */
export const SILENCE_EVERY_MS = 300_000;

/** What was last known. An echo that does not answer changes nothing. */
export type EgressProof =
  | { readonly state: "unknown" }
  | { readonly state: "proven"; readonly address: string }
  | { readonly state: "mismatched"; readonly address: string };

export interface EgressStep {
  readonly proof: EgressProof;
  /** Whether what is known has changed. */
  readonly news: boolean;
  /** Milliseconds until the next look. */
  readonly lookInMs: number;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** The address in an echo's answer, or undefined for anything else: an error page says nothing about where we come from. */
export function addressIn(answer: string): string | undefined {
  const trimmed = answer.trim();
  return IPV4.test(trimmed) ? trimmed : undefined;
}

/**
 * One look.
 * @param seen the address that the echo saw, or undefined when it gave none.
 * @param expected the addresses that this deployment leaves by.
 */
export function egressStep(proof: EgressProof, seen: string | undefined, expected: readonly string[]): EgressStep {
  if (seen === undefined) {
    return { proof, news: false, lookInMs: proof.state === "mismatched" ? DOUBT_EVERY_MS : SILENCE_EVERY_MS };
  }
  const state = expected.includes(seen) ? "proven" : "mismatched";
  return {
    proof: { state, address: seen },
    news: proof.state !== state || proof.address !== seen,
    lookInMs: state === "proven" ? LOOK_EVERY_MS : DOUBT_EVERY_MS,
  };
}
