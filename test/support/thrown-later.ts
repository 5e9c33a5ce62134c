import { RubatoError } from "rubato";

/** The RubatoError that a promise rejects with; whatever else it rejects with goes on. */
export async function rejectedBy(act: () => Promise<unknown>): Promise<RubatoError> {
  try {
    await act();
  } catch (error) {
    if (error instanceof RubatoError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
