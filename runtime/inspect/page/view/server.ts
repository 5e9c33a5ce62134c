import type { Opener } from "./opener.ts";
import type { Session } from "./session.ts";

/** Opens what the server that the page came from has to show. False: it has nothing, or there is none. */
export async function openServer(
  _session: Session,
  _opener: Opener,
  _wanted: { readonly run?: string | undefined; readonly seq?: number | undefined },
): Promise<boolean> {
  return false;
}
