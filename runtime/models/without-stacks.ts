/**
 * Calls what closes a connection, and no error that is made meanwhile takes a stack trace. `fetch` makes two for a closing and Node reads the
 * stack of one, which nobody ever sees: a quarter of the time that closing takes, and far more where source maps are enabled.
 *
 * Node's own code does the same around errors that nobody looks at. Whoever is told of the closing at once (a subscriber of undici's diagnostics
 * channels, the `cancel` of somebody's own body) runs without stacks for that moment too. Where the limit cannot be set (frozen intrinsics), they
 * are taken.
 */
export function withoutStacks(close: () => void): void {
  const limit = Error.stackTraceLimit;
  Reflect.set(Error, "stackTraceLimit", 0);
  try {
    close();
  } finally {
    Reflect.set(Error, "stackTraceLimit", limit);
  }
}
