import type { Setup } from "./setup.ts";

export async function chat(_setup: Setup): Promise<number> {
  return 0;
}
