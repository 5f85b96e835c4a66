// What a member may do in a channel, computed as Discord's permissions page says (pure).

import { PERMISSIONS, type PermissionName } from "../../shared/application.ts";

/** A permission overwrite: type 0 is a role's, 1 a member's; the bits are decimal texts (resources/channel). */
export interface Overwrite {
  readonly id: string;
  readonly type: number;
  readonly allow: string;
  readonly deny: string;
}

export interface MemberInChannel {
  readonly guildId: string;
  readonly ownerId: string;
  readonly roles: readonly { readonly id: string; readonly permissions: string }[];
  /** Of the channel, or of its parent when it is a thread. */
  readonly overwrites: readonly Overwrite[];
  readonly userId: string;
  readonly memberRoles: readonly string[];
  /** ms since 1970 until which the member is timed out. */
  readonly timedOutUntil?: number | undefined;
}

const ALL = Object.values(PERMISSIONS).reduce((bits, bit) => bits | bit, 0n);
const QUIET = PERMISSIONS.VIEW_CHANNEL | PERMISSIONS.READ_MESSAGE_HISTORY;

/** The member's permission bits (topics/permissions#permission-overwrites). */
export function permissionsIn(given: MemberInChannel, now: number): bigint {
  const { guildId, ownerId, roles, overwrites, userId, memberRoles, timedOutUntil = 0 } = given;
  if (userId === ownerId) return ALL;
  const own = new Set(memberRoles);
  let bits = 0n;
  // The role of everyone has the server's own id.
  for (const { id, permissions } of roles) if (id === guildId || own.has(id)) bits |= BigInt(permissions);
  if ((bits & PERMISSIONS.ADMINISTRATOR) !== 0n) return ALL;
  const apply = (chosen: readonly Overwrite[]): void => {
    // Denials of all of them first: among roles an allowance wins, whatever their positions.
    for (const { deny } of chosen) bits &= ~BigInt(deny);
    for (const { allow } of chosen) bits |= BigInt(allow);
  };
  apply(overwrites.filter(({ id, type }) => type === 0 && id === guildId));
  apply(overwrites.filter(({ id, type }) => type === 0 && id !== guildId && own.has(id)));
  apply(overwrites.filter(({ id, type }) => type === 1 && id === userId));
  if (timedOutUntil > now) bits &= QUIET;
  return (bits & PERMISSIONS.VIEW_CHANNEL) === 0n ? 0n : bits;
}

export function has(bits: bigint, permission: PermissionName): boolean {
  const wanted = PERMISSIONS[permission] | PERMISSIONS.ADMINISTRATOR;
  return (bits & wanted) !== 0n;
}
