// The ledger's DynamoDB table, named once: infra declares it and the task's rights on it, the bot reads and writes it.

/** Partition key and sort key, both text. */
export const TABLE_KEYS = { partition: "kind", sort: "id" } as const;

/** Epoch seconds after which DynamoDB may clear an item away, within days; never a clock of ours. */
export const EXPIRY_ATTRIBUTE = "expiresAt";

/** Every partition key that the bot uses, and so all that its task's role may touch. */
export const KIND = {
  /** One item a task: that it lives, what it wants. */
  task: "task",
  /** One item a shard: who owns it, and how often it has moved. */
  shard: "shard",
  /** One item a task, more when it is long: the sessions of its shards. */
  sessions: "sessions",
  /** One item an IDENTIFY key: when it was used last. */
  window: "window",
  /** One item an address: whether Discord's edge blocks it. */
  edge: "edge",
  /** Single items: starts, refusal, shard count, IDENTIFY budget. */
  fleet: "fleet",
  /** One item a value of the bot module. */
  value: "value",
} as const;

export type Kind = (typeof KIND)[keyof typeof KIND];
