// `--only NAME`: a name that no client has would measure the baseline alone, and look like a result.

/** @throws Error with the names there are, when one of `only` is none of them */
export function checkNames(only: readonly string[], clients: readonly { readonly name: string }[]): void {
  const names = clients.map(({ name }) => name);
  const unknown = only.filter((name) => !names.includes(name));
  if (unknown.length === 0) return;
  throw new Error(
    `--only ${unknown.map((name) => `"${name}"`).join(", ")} is no client here; there are ${names.join("; ")}`,
  );
}
