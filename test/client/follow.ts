import { raw, type Served } from "../server/served.ts";

/** Streams and sockets that are open on the server, as it counts them. */
export async function openCount(it: Pick<Served, "url">): Promise<number> {
  const { body } = await raw(`${it.url}/metrics`);
  return [...body.matchAll(/connections_open\{.*\} (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}
