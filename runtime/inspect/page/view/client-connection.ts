import { createClient, RubatoError, type ClientRun } from "../../../client/index.ts";
import { isRecord } from "../../../is-record.ts";
import { sentence } from "../model/why.ts";
import type { Act, Answer, Connection, Follow } from "./connection.ts";

/** A page waits for its server as long as it is open. */
const ATTEMPTS = 100_000;

/** The way to a server over `rubato/client`. */
export function connectTo(url: string, token: string | undefined): Connection {
  const client = createClient({ url, token, reconnect: { attempts: ATTEMPTS, minMs: 500, maxMs: 10_000 } });
  // Whoever asks for the list asks again, and says meanwhile that there is no answer.
  const lists = createClient({ url, token, reconnect: { attempts: 0 } });
  const runs = new Map<string, ClientRun>();

  function runOf(runId: string): ClientRun {
    const known = runs.get(runId);
    if (known !== undefined) return known;
    const run = client.attach(runId);
    runs.set(runId, run);
    return run;
  }

  return {
    async runs() {
      return (await lists.runs({ limit: 200 })).toReversed();
    },
    async headOf(runId) {
      try {
        const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
        const answer = await fetch(new URL(`runs/${encodeURIComponent(runId)}`, url), { headers });
        const said: unknown = await answer.json();
        return isRecord(said) && typeof said["seq"] === "number" ? said["seq"] : undefined;
      } catch {
        return undefined;
      }
    },
    follow(runId, follow) {
      const run = runOf(runId);
      const leaving = new AbortController();
      const undo = run.onChange(() => {
        const { status, attempt, error } = run.connection;
        if (status === "open") follow.onLine("open");
        else if (status === "reconnecting" || attempt > 0) {
          const why = error === undefined ? "The server does not answer." : sentenceOf(error);
          follow.onLine("lost", `${why} What came so far stays; it is tried again.`);
        }
      });
      // It ends with the page's interest; what goes wrong with it is said in the page.
      read(run, follow, leaving.signal).then(
        () => {
          undo();
        },
        (error: unknown) => {
          undo();
          if (leaving.signal.aborted) return;
          follow.onLine("ended", `${sentenceOf(error)} What came so far stays.`);
        },
      );
      return () => {
        leaving.abort();
        undo();
        run.close();
        runs.delete(runId);
      };
    },
    async command(runId, act) {
      try {
        return await ask(runOf(runId), act);
      } catch (error) {
        return { kind: "failed", message: sentenceOf(error) };
      }
    },
  };
}

/** Hands on what came together at once: a page draws once for it. */
async function read(run: ClientRun, { after, onEvents, onLine }: Follow, signal: AbortSignal): Promise<void> {
  let batch: unknown[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const came = batch;
    batch = [];
    if (!signal.aborted && came.length > 0) onEvents(came);
  };
  try {
    for await (const event of run.events({ from: after, follow: true, signal })) {
      batch.push(event);
      if (batch.length >= 5_000) flush();
      else timer ??= setTimeout(flush, 8);
    }
  } finally {
    flush();
  }
  if (!signal.aborted) onLine("ended", "The run was cancelled: nothing more comes.");
}

async function ask(run: ClientRun, act: Act): Promise<Answer> {
  const receipt = await act(run);
  if (!receipt.accepted) return { kind: "refused", reason: receipt.reason, message: receipt.message };
  return { kind: "accepted", seq: receipt.seq, runId: receipt.runId, overtaken: receipt.effective === false };
}

const PASSING: ReadonlySet<string> = new Set(["disconnected", "closing", "internal", "log", "too_many_connections"]);

/** Nobody answered, or nobody who could: asked again that may be otherwise. */
export function isPassing(error: unknown): boolean {
  return error instanceof RubatoError && PASSING.has(error.code);
}

export function isUnauthorized(error: unknown): boolean {
  return error instanceof RubatoError && error.code === "unauthorized";
}

export function sentenceOf(error: unknown): string {
  if (isUnauthorized(error)) return "The server does not take the token any more.";
  return sentence(error instanceof Error ? error.message : "That failed.");
}
