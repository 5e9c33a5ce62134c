import { useEffect, useRef, useState } from "preact/hooks";
import { expose } from "../../../cli/exposed.ts";
import { refusalOf } from "../../../cli/refusal.ts";
import { sentence } from "../model/why.ts";
import type { Act, Answer, Connection } from "./connection.ts";

/** What was asked of the run, and what was answered. */
export interface Asked {
  readonly id: number;
  readonly said: string;
}

/** Of a fork: the id of its run. */
export type OnAccepted = (runId: string | undefined) => void;

export interface Asking {
  /** The latest first. */
  readonly asked: readonly Asked[];
  /**
   * Asks, and says what was answered. The same `key` is asked once at a time: a second press says nothing new. Others are not held up: whoever waits for
   * the end of a step may still stop at once.
   */
  readonly ask: (key: string, name: string, act: Act, onAccepted?: OnAccepted) => void;
  readonly isAsked: (key: string) => boolean;
  /** Says something about what became of an attempt. */
  readonly tell: (said: string) => void;
}

/** Answers that stand there. */
const MOST = 8;

export function useAsking(connection: Connection | undefined, runId: string): Asking {
  const [asked, setAsked] = useState<readonly Asked[]>([]);
  const open = useRef(new Set<string>());
  const count = useRef(0);
  const note = (id: number, said: string): void => {
    setAsked((before) =>
      before.some((one) => one.id === id)
        ? before.map((one) => (one.id === id ? { id, said } : one))
        : [{ id, said }, ...before].slice(0, MOST),
    );
  };
  return {
    asked,
    isAsked: (key) => open.current.has(key),
    tell: (said) => note(++count.current, said),
    ask(key, name, act, onAccepted) {
      if (connection === undefined || open.current.has(key)) return;
      const id = ++count.current;
      open.current.add(key);
      note(id, `${name}: asked, no answer yet.`);
      connection.command(runId, act).then(
        (answer) => {
          open.current.delete(key);
          note(id, `${name}: ${answered(answer)}`);
          if (answer.kind === "accepted") onAccepted?.(answer.runId);
        },
        // It never rejects; should it, that is said as well.
        (error: unknown) => {
          open.current.delete(key);
          note(id, `${name}: ${sentence(String(error))}`);
        },
      );
    },
  };
}

/** Somebody else may answer about a call in the middle of an edit: what was typed about it and not sent is not lost without a word. */
export function useUnsent(asking: Asking, key: string, which: string, typed: string): void {
  const latest = useRef({ asking, typed: "" });
  latest.current = { asking, typed: asking.isAsked(key) ? "" : typed };
  useEffect(
    () => () => {
      const { asking: at, typed: unsent } = latest.current;
      if (unsent.trim() === "") return;
      at.tell(`${which} was answered elsewhere or ended. What was typed about it: ${expose(unsent)}`);
    },
    [which],
  );
}

function answered(answer: Answer): string {
  switch (answer.kind) {
    case "accepted":
      return `accepted${answer.seq === undefined ? "" : `, seq ${answer.seq}`}${answer.overtaken ? ", but the run had ended before it was effective" : ""}.`;
    case "refused":
      return `refused (${answer.reason}): ${sentence(answer.message ?? why(answer.reason))}`;
    case "failed":
      return `no answer. ${answer.message}`;
  }
}

function why(reason: string): string {
  // Where the terminal names its own options.
  return reason === "owned" ? "another process has it and lives" : refusalOf(reason);
}
