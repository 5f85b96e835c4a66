// The one way in which the twin says no: a construct it does not implement, or that AWS's documentation leaves open.

/** Thrown instead of a guess; `message` names the resource, its property, and why it cannot be rehearsed. */
export class CannotRehearse extends Error {
  readonly kind = "cannot-rehearse";
  /** Logical name (or AWS name) of the resource. */
  readonly resource: string;
  /** The property as the Pulumi program writes it. */
  readonly property: string;
  readonly why: string;

  constructor(resource: string, property: string, why: string, options?: { cause?: unknown }) {
    super(`${resource}: ${property} cannot be rehearsed: ${why}`, options);
    this.name = "CannotRehearse";
    this.resource = resource;
    this.property = property;
    this.why = why;
  }
}
