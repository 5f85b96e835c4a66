// What REST routes do over real sockets: messages, nonces, interactions, commands.

import { describe, expect, it } from "vitest";
import { TestClient } from "./client.ts";
import { call, channelId, clock, discord, post, rules, simulatePerTest, start } from "./fixture.ts";

simulatePerTest();

describe("messages", () => {
  it.each([
    { name: "2,000 code points of two units", fields: { content: "😀".repeat(2_000) }, status: 200 },
    { name: "2,001 code points", fields: { content: "x".repeat(2_001) }, status: 400 },
    { name: "nothing", fields: { content: "" }, status: 400 },
    { name: "a nonce of 26", fields: { content: "x", nonce: "n".repeat(26) }, status: 400 },
    { name: "a reply to nothing", fields: { content: "x", message_reference: { message_id: "1" } }, status: 400 },
    {
      name: "a reply that need not be",
      fields: { content: "x", message_reference: { message_id: "1", fail_if_not_exists: false } },
      status: 200,
    },
  ])("with $name: $status", async ({ fields, status }) => {
    await start();
    expect((await call("POST", `/channels/${channelId}/messages`, fields)).status).toBe(status);
  });

  it("with an enforced nonce come to be once, and not again when deleted", async () => {
    await start();
    const first = await post("hello", { nonce: "one", enforce_nonce: true });
    const again = await post("hello", { nonce: "one", enforce_nonce: true });
    expect(Object(again.body).id).toBe(Object(first.body).id);
    expect(discord.counts.rest).toMatchObject({ messagesCreated: 1, nonceHits: 1 });
    await call("DELETE", `/channels/${channelId}/messages/${Object(first.body).id}`);
    expect(await post("hello", { nonce: "one", enforce_nonce: true })).toMatchObject({
      status: 404,
      body: { code: 10008 },
    });
    await post("hello", { nonce: "one" });
    await clock.advance(200_000);
    await post("hello", { nonce: "one", enforce_nonce: true });
    expect(discord.counts.rest.messagesCreated).toBe(3);
  });

  it("reach the gateway with their nonce, the bot's own with content", async () => {
    await start();
    const client = new TestClient(discord.gatewayUrl);
    await client.next(10);
    client.identify();
    await client.next("READY");
    await post("hello", { nonce: "n" });
    expect((await client.next("MESSAGE_CREATE")).d).toMatchObject({
      content: "hello",
      nonce: "n",
      channel_id: channelId,
    });
  });

  it("hide others' content over REST too without MESSAGE_CONTENT", async () => {
    await start();
    const [guild] = discord.world.guilds.values();
    discord.sendMessage({ guildId: guild?.id, channelId, authorId: guild?.ownerId ?? "", content: "hidden" });
    const author = guild?.ownerId ?? "";
    discord.sendMessage({ guildId: guild?.id, channelId, authorId: author, content: "for you", mentionsBot: true });
    await post("own");
    const listed = await call("GET", `/channels/${channelId}/messages?limit=3`);
    expect(listed.body).toMatchObject([{ content: "own" }, { content: "for you" }, { content: "" }]);
  });

  it("carry files, recorded by name, size and digest", async () => {
    await start();
    const boundary = "frontier";
    const part = (head: string, content: string) =>
      `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`;
    const body = `${part('name="payload_json"', '{"content":"x"}')}${part('name="files[0]"; filename="a.txt"', "abc")}--${boundary}--`;
    const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
    const answer = await call("POST", `/channels/${channelId}/messages`, body, headers);
    expect(answer.body).toMatchObject({ content: "x", attachments: [{ filename: "a.txt", size: 3 }] });
    expect(discord.requests.at(-1)).toMatchObject({
      method: "POST",
      route: "POST /channels/{channel_id}/messages",
      status: 200,
      by: "api",
      body: { content: "x", files: [{ field: "files[0]", filename: "a.txt", bytes: 3 }] },
    });
  });
});

describe("interactions", () => {
  const begin = () => {
    const [guild] = discord.world.guilds.values();
    return discord.createInteraction({
      channelId,
      userId: guild?.ownerId ?? "",
      data: { id: "1", name: "ping", type: 1 },
    });
  };
  const answer = ({ id, token }: { id: string; token: string }, type = 4) =>
    call("POST", `/interactions/${id}/${token}/callback`, { type, data: { content: "pong" } }, { authorization: "" });

  it("are answered once, within 3 s", async () => {
    await start();
    const first = begin();
    expect((await answer(first)).status).toBe(204);
    expect(await answer(first)).toMatchObject({ status: 400, body: { code: 40060 } });
    const late = begin();
    await clock.advance(3_001);
    expect(await answer(late)).toMatchObject({ status: 404, body: { code: 10062 } });
  });

  it("are followed up for 15 min", async () => {
    await start();
    const deferred = begin();
    await answer(deferred, 5);
    const path = `/webhooks/${discord.world.applicationId}/${deferred.token}`;
    const followed = await call("POST", path, { content: "done" }, { authorization: "" });
    expect(followed.body).toMatchObject({ content: "done" });
    const original = await call("PATCH", `${path}/messages/@original`, { content: "changed" }, { authorization: "" });
    expect(original.body).toMatchObject({ id: Object(followed.body).id, content: "changed" });
    await clock.advance(900_001);
    const late = await call("POST", path, { content: "late" }, { authorization: "" });
    expect(late).toMatchObject({ status: 401, body: { code: 50027 } });
    expect(rules()).toEqual([]);
  });
});

describe("application commands", () => {
  it("are overwritten, listed, changed and deleted", async () => {
    await start();
    const path = `/applications/${discord.world.applicationId}/commands`;
    const put = await call("PUT", path, [{ name: "one" }, { name: "two" }]);
    expect(put.body).toMatchObject([{ name: "one" }, { name: "two" }]);
    const [one] = Object(put.body);
    expect((await call("PATCH", `${path}/${one.id}`, { description: "x" })).body).toMatchObject({ description: "x" });
    expect((await call("DELETE", `${path}/${one.id}`)).status).toBe(204);
    expect((await call("GET", path)).body).toMatchObject([{ name: "two" }]);
    expect((await call("POST", path, { name: "two" })).status).toBe(200);
  });
});
