// Routes beside messages: the gateway's address, the application, channels, servers and commands.

import { applicationFlags } from "../gateway/start.ts";
import { channelObject, guildObject, userObject } from "../world.ts";
import { inChannel } from "./messages.ts";
import {
  type Answer,
  type Call,
  empty,
  fail,
  type HiddenLimit,
  invalidForm,
  ok,
  parameter,
  type Route,
} from "./route.ts";

const CHANNEL = "/channels/{channel_id}";
const COMMANDS = "/applications/{application_id}/commands";
const GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands";
/** Name and topic each have their own hidden limit (observed). */
const HIDDEN_CHANNEL_FIELDS = ["name", "topic"];
const COMMAND_CREATES_A_DAY = 200;

export function otherRoutes(): Route[] {
  const bot = { credential: "bot" } as const;
  let createdCommands = 0;
  const command = (template: string): Route[] => [
    { ...bot, method: "GET", template, handle: (call) => ok(commandsOf(call)) },
    { ...bot, method: "PUT", template, limit: commandLimit, handle: overwriteCommands },
    {
      ...bot,
      method: "POST",
      template,
      limit: commandLimit,
      handle: (call) => {
        if (++createdCommands > COMMAND_CREATES_A_DAY)
          return fail(400, 30034, "Max number of daily application command creates has been reached (200)");
        return addCommand(call, call.body.fields);
      },
    },
    { ...bot, method: "GET", template: `${template}/{command_id}`, handle: (call) => onCommand(call, ok) },
    {
      ...bot,
      method: "PATCH",
      template: `${template}/{command_id}`,
      limit: commandLimit,
      handle: (call) => onCommand(call, (found) => ok(Object.assign(found, call.body.fields))),
    },
    {
      ...bot,
      method: "DELETE",
      template: `${template}/{command_id}`,
      limit: commandLimit,
      handle: (call) =>
        onCommand(call, (found) => {
          call.around.world.commands.delete(String(found["id"]));
          return empty;
        }),
    },
  ];
  return [
    {
      credential: "none",
      method: "GET",
      template: "/gateway",
      handle: ({ around }) => ok({ url: around.gatewayUrl() }),
    },
    {
      ...bot,
      method: "GET",
      template: "/gateway/bot",
      limit: () => ({ name: "gateway bot", limit: 2, windowMs: 5_000 }),
      handle: ({ around }) =>
        ok({ url: around.gatewayUrl(), shards: around.shards, session_start_limit: around.sessionStartLimit() }),
    },
    {
      ...bot,
      method: "GET",
      template: "/users/@me",
      handle: ({ around }) => ok({ ...userObject(around.world.bot), verified: true, flags: 0 }),
    },
    ...["/oauth2/applications/@me", "/applications/@me"].map(
      (template): Route => ({ ...bot, method: "GET", template, handle: application }),
    ),
    {
      ...bot,
      method: "POST",
      template: "/users/@me/channels",
      limit: () => ({ name: "direct channels", limit: 10, windowMs: 10_000 }),
      handle: ({ around }) => ok(channelObject(around.world.addDirectChannel())),
    },
    {
      ...bot,
      method: "GET",
      template: CHANNEL,
      handle: (call) => inChannel(call, (channel) => ok(channelObject(channel))),
    },
    {
      ...bot,
      method: "PATCH",
      template: CHANNEL,
      limit: () => ({ name: "edit channel", limit: 10, windowMs: 15_000 }),
      hidden: channelLimits,
      handle: editChannel,
    },
    {
      ...bot,
      method: "POST",
      template: `${CHANNEL}/typing`,
      limit: () => ({ name: "typing", limit: 5, windowMs: 5_000 }),
      handle: (call) => inChannel(call, () => empty),
    },
    {
      ...bot,
      method: "GET",
      template: "/guilds/{guild_id}",
      handle: (call) => {
        const guild = call.around.world.guilds.get(parameter(call, "guild_id"));
        return guild === undefined ? fail(404, 10004, "Unknown Guild") : ok(guildObject(guild, call.around.world.bot));
      },
    },
    ...command(COMMANDS),
    ...command(GUILD_COMMANDS),
  ];
}

const commandLimit = () => ({ name: "application commands", limit: 5, windowMs: 20_000 });

function application({ around }: Call): Answer {
  const { world } = around;
  const flags = applicationFlags(around.privilegedIntents());
  return ok({
    id: world.applicationId,
    name: world.bot.username,
    description: "",
    bot_public: false,
    flags,
    bot: userObject(world.bot),
  });
}

function channelLimits(call: Call): HiddenLimit[] {
  return HIDDEN_CHANNEL_FIELDS.filter((field) => call.body.fields[field] !== undefined).map((field) => ({
    key: `channel ${field}:${parameter(call, "channel_id")}`,
    limit: 2,
    windowMs: 600_000,
    scope: "user",
  }));
}

function editChannel(call: Call): Answer {
  return inChannel(call, (channel) => {
    const { name, topic } = call.body.fields;
    if (name !== undefined && (typeof name !== "string" || name.length < 1 || name.length > 100)) {
      return invalidForm("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.");
    }
    if (typeof name === "string") channel.name = name;
    if (typeof topic === "string" || topic === null) channel.topic = topic;
    const object = channelObject(channel);
    call.around.dispatch("CHANNEL_UPDATE", object);
    return ok(object);
  });
}

function commandsOf(call: Call): Record<string, unknown>[] {
  const guildId = call.parameters["guild_id"];
  return [...call.around.world.commands.values()].filter((one) => one["guild_id"] === guildId);
}

function addCommand(call: Call, fields: Record<string, unknown>): Answer {
  const { world } = call.around;
  const { name } = fields;
  if (typeof name !== "string" || name === "")
    return invalidForm("name", "BASE_TYPE_REQUIRED", "This field is required");
  const same = commandsOf(call).find((one) => one["name"] === name);
  const guildId = call.parameters["guild_id"];
  const id = same === undefined ? world.id() : String(same["id"]);
  const place = guildId === undefined ? {} : { guild_id: guildId };
  const command = { type: 1, ...fields, id, application_id: world.applicationId, version: world.id(), ...place };
  world.commands.set(id, command);
  return { status: same === undefined ? 201 : 200, json: command };
}

function overwriteCommands(call: Call): Answer {
  if (call.body.list === undefined)
    return invalidForm("_errors", "BASE_TYPE_BAD_TYPE", "The body is a list of commands.");
  for (const old of commandsOf(call)) call.around.world.commands.delete(String(old["id"]));
  for (const fields of call.body.list) {
    const answer = addCommand(
      call,
      typeof fields === "object" && fields !== null ? Object.fromEntries(Object.entries(fields)) : {},
    );
    if (answer.status >= 400) return answer;
  }
  return ok(commandsOf(call));
}

function onCommand(call: Call, then: (command: Record<string, unknown>) => Answer): Answer {
  const found = call.around.world.commands.get(parameter(call, "command_id"));
  return found === undefined ? fail(404, 10063, "Unknown application command") : then(found);
}
