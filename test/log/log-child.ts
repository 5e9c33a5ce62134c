import { fileLog, type Event } from "rubato";
import { tokens } from "./file-tokens.ts";

// A process of its own over a log in files. Its parent says when to begin, and ends it.
//   claim <folder> <runs>     claims r0, r1, ... and says which epochs it won
//   stream <folder>           writes tokens to run r for ever, and says the last seq that was stored

const [deed, folder = "", count = "0"] = process.argv.slice(2);
const log = fileLog(folder);

async function claimAll(): Promise<void> {
  const won: Record<string, number> = {};
  for (let at = 0; at < Number(count); at++) {
    const claim = await log.claim(`r${at}`);
    if (!claim.claimed) continue;
    won[`r${at}`] = claim.epoch;
    const data = { name: "owner", data: process.pid };
    const event: Event = { seq: claim.seq + 1, timestamp: 1, runId: `r${at}`, type: "custom", data };
    await log.append(`r${at}`, { epoch: claim.epoch, events: [event] });
  }
  process.send?.(won);
}

async function stream(): Promise<void> {
  for (let seq = 2; ;) {
    const size = 1 + (seq % 5);
    const events = tokens(
      seq,
      Array.from({ length: size }, (_, at) => ` token${at}`),
    );
    await log.append("r", { epoch: 1, events });
    seq += size;
    if (process.send?.(seq - 1) === false) await new Promise((resolve) => setImmediate(resolve));
  }
}

// Listening keeps the process alive: an owner that has ended owns nothing.
process.on("message", () => {
  (deed === "claim" ? claimAll() : begin()).catch((error: unknown) => {
    process.send?.({ failed: error instanceof Error ? error.message : "unknown" });
  });
});
process.send?.("ready");

async function begin(): Promise<void> {
  const data = { name: "begin", data: null };
  await log.append("r", { epoch: 1, events: [{ seq: 1, timestamp: 1, runId: "r", type: "custom", data }] });
  await stream();
}
