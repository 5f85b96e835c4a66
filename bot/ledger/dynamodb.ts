// Shared items in a DynamoDB table: conditional writes and consistent reads, nothing else of what DynamoDB can do.

import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { deflate, inflate } from "node:zlib";
import {
  type AttributeValue,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandOutput,
} from "@aws-sdk/client-dynamodb";
import { EXPIRY_ATTRIBUTE, type Kind, TABLE_KEYS } from "../../shared/table.ts";
import type { Item, Items } from "./items.ts";
import { LedgerError } from "./ledgerError.ts";

// A healthy table answers in milliseconds; a beat every 3 s must fail and be tried again well within a lease of 10 s.
const CONNECT_MS = 500;
const ANSWER_MS = 1_000;
const TRIES = 2;
const DEADLINE_MS = 2_500;
// A write unit is 1 KB: what is longer is worth the squeezing.
const SQUEEZED_FROM = 1_000;

const squeeze = promisify(deflate);
const unsqueeze = promisify(inflate);

/** What a person does about AWS's answer, by its name (AWS: DynamoDB error handling); everything else passes by itself. */
const FIXES: Readonly<Record<string, string>> = {
  RegionMissing: "set AWS_REGION; in ECS it is there by itself",
  ResourceNotFoundException: "create the table, or correct LEDGER=dynamodb:TABLE and the region",
  AccessDeniedException: "give the task's role the rights of infra/ledger.ts on this table",
  UnrecognizedClientException: "give the bot credentials that AWS takes",
  InvalidSignatureException: "give the bot credentials that AWS takes, and check the machine's clock",
  ExpiredTokenException: "give the bot credentials that have not expired",
  CredentialsProviderError: "give the bot credentials: in ECS the task's role, elsewhere AWS's usual variables",
  ValidationException: `make ${TABLE_KEYS.partition} (S) the table's partition key and ${TABLE_KEYS.sort} (S) its sort key`,
};

/** Region, credentials and endpoint (AWS_ENDPOINT_URL_DYNAMODB) come from the SDK's usual places. Touches nothing yet. */
export function createDynamoItems(table: string): Items {
  const client = new DynamoDBClient({
    maxAttempts: TRIES,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: ANSWER_MS, throwOnRequestTimeout: true },
  });

  const named = (doing: "unreadable" | "unwritable", cause: unknown): LedgerError => {
    const name = nameOf(cause);
    const fix = FIXES[name];
    const what = `the table ${table} is ${doing} (${name})`;
    if (fix !== undefined) return new LedgerError(doing, `${what}; ${fix}`, cause);
    return new LedgerError("unreachable", `${what}; it is tried again by itself`, cause);
  };

  const within = async <Result>(
    doing: "unreadable" | "unwritable",
    call: (options: { abortSignal: AbortSignal }) => Promise<Result>,
  ): Promise<Result> => {
    try {
      return await call({ abortSignal: AbortSignal.timeout(DEADLINE_MS) });
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException || error instanceof LedgerError) throw error;
      throw named(doing, error);
    }
  };

  const key = (kind: string, id: string): Record<string, AttributeValue> => ({
    [TABLE_KEYS.partition]: { S: kind },
    [TABLE_KEYS.sort]: { S: id },
  });

  const read = async (kind: string, id: string): Promise<Attributes | undefined> => {
    const command = new GetItemCommand({ TableName: table, Key: key(kind, id), ConsistentRead: true });
    return (await within("unreadable", (options) => client.send(command, options))).Item;
  };

  return {
    async get(kind, id) {
      const found = await read(kind, id);
      return found === undefined ? undefined : itemFrom(table, kind, found);
    },
    async list(kind) {
      const items: Item[] = [];
      let from: Attributes | undefined;
      do {
        const command = new QueryCommand({
          TableName: table,
          ConsistentRead: true,
          KeyConditionExpression: "#kind = :kind",
          ExpressionAttributeNames: { "#kind": TABLE_KEYS.partition },
          ExpressionAttributeValues: { ":kind": { S: kind } },
          ExclusiveStartKey: from,
        });
        const page: QueryCommandOutput = await within("unreadable", (options) => client.send(command, options));
        for (const found of page.Items ?? []) items.push(await itemFrom(table, kind, found));
        from = page.LastEvaluatedKey;
      } while (from !== undefined);
      return items;
    },
    async swap({ kind, id, body, expiresAt }, expected) {
      const version = (expected ?? 0) + 1;
      const writer = randomUUID();
      const command = new PutItemCommand({
        TableName: table,
        Item: {
          ...key(kind, id),
          version: { N: String(version) },
          writer: { S: writer },
          ...(body.length < SQUEEZED_FROM ? { body: { S: body } } : { squeezed: { B: await squeeze(body) } }),
          ...(expiresAt !== undefined && { [EXPIRY_ATTRIBUTE]: { N: String(Math.ceil(expiresAt / 1_000)) } }),
        },
        ...condition(expected),
      });
      try {
        await within("unwritable", (options) => client.send(command, options));
        return version;
      } catch (error) {
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
        // The SDK's second try meets what its first has written, when only the answer to that was lost.
        const kept = await read(kind, id);
        return kept?.["writer"]?.S === writer ? version : undefined;
      }
    },
    async remove(kind, id, expected) {
      const command = new DeleteItemCommand({ TableName: table, Key: key(kind, id), ...condition(expected) });
      try {
        await within("unwritable", (options) => client.send(command, options));
        return true;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw error;
      }
    },
  };
}

type Attributes = Record<string, AttributeValue>;

function nameOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // The one fault of configuration that the SDK gives no name.
  return cause.message === "Region is missing" ? "RegionMissing" : cause.name;
}

function condition(expected: number | undefined) {
  const ExpressionAttributeNames = { "#version": "version" };
  if (expected === undefined)
    return { ConditionExpression: "attribute_not_exists(#version)", ExpressionAttributeNames };
  return {
    ConditionExpression: "#version = :expected",
    ExpressionAttributeNames,
    ExpressionAttributeValues: { ":expected": { N: String(expected) } },
  };
}

async function itemFrom(table: string, kind: Kind, found: Attributes): Promise<Item> {
  const id = found[TABLE_KEYS.sort]?.S ?? "";
  const version = Number(found["version"]?.N);
  const squeezed = found["squeezed"]?.B;
  const body = found["body"]?.S ?? (squeezed === undefined ? undefined : await textOf(squeezed));
  if (Number.isSafeInteger(version) && body !== undefined) return { kind, id, version, body };
  throw new LedgerError("damaged", `the item ${kind} ${id} of the table ${table} is not a bot's; delete it`);
}

async function textOf(squeezed: Uint8Array): Promise<string | undefined> {
  try {
    return (await unsqueeze(squeezed)).toString("utf8");
  } catch {
    return undefined;
  }
}
