// What was said lately, for each person in each channel apart, within bounds (pure).

export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

export interface Conversations {
  /** What this person and the bot have said here lately, oldest first. */
  recall(channelId: string, userId: string, now: number): readonly Turn[];
  remember(channelId: string, userId: string, question: string, answer: string, now: number): void;
}

// A model reads the last few exchanges; at 4,000 characters each, 2,000 people take some 80 MB at the very worst.
const MOST_TURNS = 10;
const LONGEST_TURN = 4_000;
const MOST_CONVERSATIONS = 2_000;
// After half an hour people have turned to something else.
const FORGOTTEN_AFTER_MS = 30 * 60_000;

export function createConversations(most: number = MOST_CONVERSATIONS): Conversations {
  // Least recently used first.
  const kept = new Map<string, { readonly at: number; readonly turns: readonly Turn[] }>();
  const keyOf = (channelId: string, userId: string): string => `${channelId} ${userId}`;

  const recall = (channelId: string, userId: string, now: number): readonly Turn[] => {
    const found = kept.get(keyOf(channelId, userId));
    return found !== undefined && now - found.at < FORGOTTEN_AFTER_MS ? found.turns : [];
  };

  return {
    recall,
    remember(channelId, userId, question, answer, now) {
      const key = keyOf(channelId, userId);
      const turns = [
        ...recall(channelId, userId, now),
        { role: "user", content: shortened(question) } as const,
        { role: "assistant", content: shortened(answer) } as const,
      ].slice(-MOST_TURNS);
      kept.delete(key);
      kept.set(key, { at: now, turns });
      const [oldest] = kept.keys();
      if (kept.size > most && oldest !== undefined) kept.delete(oldest);
    },
  };
}

const shortened = (text: string): string => text.slice(0, LONGEST_TURN).toWellFormed();
