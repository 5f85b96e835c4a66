// DynamoDB's emulator on loopback, with the table that infra declares.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import dynalite from "dynalite";
import { TABLE_KEYS } from "../../../shared/table.ts";

export interface Tables {
  /** What a process needs to find the emulator: the SDK's own variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Makes an empty table, by default of a name of its own, and gives its name. */
  create(name?: string): Promise<string>;
  /** Requests served since the start, by operation, such as PutItem. */
  readonly requests: ReadonlyMap<string, number>;
  /** The next requests of that operation are carried out, but their answers never arrive. */
  loseAnswers(operation: string, count: number): void;
  /** Cuts the connections of whoever is connected, and refuses others until `back`. */
  cut(): void;
  back(): Promise<void>;
  close(): void;
}

export async function startTables(): Promise<Tables> {
  const database = dynalite({ createTableMs: 0 });
  const requests = new Map<string, number>();
  const lost = new Map<string, number>();
  const server = createServer((request, response) => {
    const operation = String(request.headers["x-amz-target"]).replace(/^.*\./, "");
    requests.set(operation, (requests.get(operation) ?? 0) + 1);
    const left = lost.get(operation) ?? 0;
    if (left > 0) {
      lost.set(operation, left - 1);
      response.end = () => response.destroy();
    }
    database.emit("request", request, response);
  });
  const listen = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const environment = {
    AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${port}`,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "emulated",
    AWS_SECRET_ACCESS_KEY: "emulated",
  };
  const client = new DynamoDBClient({
    endpoint: environment.AWS_ENDPOINT_URL_DYNAMODB,
    region: environment.AWS_REGION,
    credentials: { accessKeyId: environment.AWS_ACCESS_KEY_ID, secretAccessKey: environment.AWS_SECRET_ACCESS_KEY },
  });
  let tables = 0;
  return {
    environment,
    requests,
    async create(name = `mooring-${tables++}`) {
      const { partition, sort } = TABLE_KEYS;
      await client.send(
        new CreateTableCommand({
          TableName: name,
          BillingMode: "PAY_PER_REQUEST",
          AttributeDefinitions: [partition, sort].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
          KeySchema: [
            { AttributeName: partition, KeyType: "HASH" },
            { AttributeName: sort, KeyType: "RANGE" },
          ],
        }),
      );
      return name;
    },
    loseAnswers: (operation, count) => void lost.set(operation, count),
    cut() {
      server.close();
      server.closeAllConnections();
    },
    back: () => listen(port),
    close() {
      client.destroy();
      server.close();
      server.closeAllConnections();
      database.close();
    },
  };
}
