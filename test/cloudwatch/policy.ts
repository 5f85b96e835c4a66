// A resource policy asked one question: may this AWS service do this here, on behalf of that resource?
// Source: IAM user guide, "Policy evaluation logic" (an explicit Deny wins, no Allow is a denial) and "Condition operators".

import { isPlainObject, type PlainObject } from "./declared.ts";
import { CannotRehearse } from "./refusal.ts";

export interface Request {
  /** Such as "cloudwatch.amazonaws.com". */
  readonly service: string;
  /** Such as "sns:Publish". */
  readonly action: string;
  readonly resource: string;
  readonly sourceArn: string;
  readonly account: string;
}

/** Where the policy stands, for a refusal. */
export interface PolicyPlace {
  readonly resource: string;
  readonly property: string;
}

/** Whether the policy allows the request. Throws `CannotRehearse` for elements or conditions it does not implement. */
export function allows(policy: PlainObject, request: Request, place: PolicyPlace): boolean {
  const statements = policy["Statement"];
  const list: readonly unknown[] = Array.isArray(statements) ? statements : [statements];
  let allowed = false;
  for (const statement of list) {
    if (!isPlainObject(statement)) throw refuse(place, "a statement is not an object");
    if (!applies(statement, request, place)) continue;
    if (statement["Effect"] === "Deny") return false;
    allowed ||= statement["Effect"] === "Allow";
  }
  return allowed;
}

const refuse = (place: PolicyPlace, why: string): CannotRehearse =>
  new CannotRehearse(place.resource, place.property, why);

function applies(statement: PlainObject, request: Request, place: PolicyPlace): boolean {
  for (const element of ["NotAction", "NotPrincipal", "NotResource"]) {
    if (element in statement) throw refuse(place, `${element} is not implemented`);
  }
  return (
    principalMatches(statement["Principal"], request.service) &&
    strings(statement["Action"], place).some((action) => like(action.toLowerCase(), request.action.toLowerCase())) &&
    strings(statement["Resource"], place).some((resource) => like(resource, request.resource)) &&
    conditionsHold(statement["Condition"], request, place)
  );
}

function principalMatches(principal: unknown, service: string): boolean {
  if (principal === "*") return true;
  if (!isPlainObject(principal)) return false;
  const services = principal["Service"];
  if (services === service || (Array.isArray(services) && services.includes(service))) return true;
  // SNS's default policy is for every AWS principal of the owning account, and alarms publish through it.
  const principals = principal["AWS"];
  return principals === "*" || (Array.isArray(principals) && principals.includes("*"));
}

function conditionsHold(conditions: unknown, request: Request, place: PolicyPlace): boolean {
  if (conditions === undefined || conditions === null) return true;
  if (!isPlainObject(conditions)) throw refuse(place, "Condition is not an object");
  return Object.entries(conditions).every(([operator, keys]) => {
    if (!isPlainObject(keys)) throw refuse(place, `Condition ${operator} is not an object`);
    return Object.entries(keys).every(([key, wanted]) => {
      const actual = contextValue(key, request);
      if (actual === undefined) throw refuse(place, `condition key ${key} is not implemented`);
      return strings(wanted, place).some((pattern) => compares(operator, pattern, actual, place));
    });
  });
}

function contextValue(key: string, request: Request): string | undefined {
  switch (key.toLowerCase()) {
    case "aws:sourcearn":
      return request.sourceArn;
    case "aws:sourceaccount":
    case "aws:sourceowner":
      return request.account;
    default:
      return undefined;
  }
}

function compares(operator: string, pattern: string, actual: string, place: PolicyPlace): boolean {
  switch (operator) {
    case "StringEquals":
      return pattern === actual;
    case "StringLike":
      return like(pattern, actual);
    case "ArnEquals":
    case "ArnLike":
      return arnLike(pattern, actual);
    default:
      throw refuse(place, `condition operator ${operator} is not implemented`);
  }
}

/** Each of the six parts of an ARN is matched by itself: a wildcard never spans a colon, except in the last part. */
function arnLike(pattern: string, actual: string): boolean {
  const wanted = parts(pattern);
  const given = parts(actual);
  return wanted.length === given.length && wanted.every((part, index) => like(part, given[index] ?? ""));
}

function parts(arn: string): string[] {
  const pieces = arn.split(":");
  return [...pieces.slice(0, 5), pieces.slice(5).join(":")];
}

function like(pattern: string, text: string): boolean {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${escaped}$`, "s").test(text);
}

function strings(value: unknown, place: PolicyPlace): readonly string[] {
  if (value === undefined) return [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.every((item): item is string => typeof item === "string")) return list;
  throw refuse(place, "a list of texts was expected");
}
