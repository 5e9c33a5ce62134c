import { RubatoError } from "rubato";

/** The RubatoError that a function throws; whatever else it throws goes on. */
export function thrownBy(act: () => unknown): RubatoError {
  try {
    act();
  } catch (error) {
    if (error instanceof RubatoError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
