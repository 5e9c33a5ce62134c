import type { Event, Json, PartialPolicy } from "../../machines/events.ts";
import { isAtRest, type AgentState } from "../../machines/state.ts";
import type { Agent } from "../agent.ts";
import { messageOf } from "../errors.ts";
import type { EventLog } from "../log/event-log.ts";
import type { ApproveOptions, Run } from "../run.ts";
import { raiseOf, type RaisedBudget } from "./budget.ts";
import { createConversation, type Conversation } from "./conversation.ts";
import { describeEvent } from "./describe-event.ts";
import { describeFound, describePending } from "./describe-found.ts";
import { shortId } from "./find-run.ts";
import { storedEvents } from "./read-log.ts";
import { refusalOf } from "./refusal.ts";
import { oneLine } from "./sanitizer.ts";
import type { Transcript } from "./transcript.ts";

/** How much of a picked up conversation is shown, in events. The rest is in the log. */
const SHOWN_BEFORE = 5_000;

type Answer = { readonly accepted: boolean; readonly reason?: string; readonly message?: string };

/** The run that a chat is about, and what is asked of it. Answers that matter stand in the transcript. */
export interface Talk {
  readonly run: Run | undefined;
  readonly conversation: Conversation;
  /** The run's state, where the conversation has been shown up to it: what it asks may be asked then. */
  readonly asked: AgentState | undefined;
  /** Takes an event of the agent; false where it is of another run. */
  follow(event: Event): boolean;
  say(text: string, when: "now" | "step" | "done"): void;
  resume(text: string | undefined, partial: PartialPolicy, budget?: RaisedBudget): void;
  interrupt(mode: "step" | "now"): void;
  /** `onUnfit` hears why the arguments do not fit the tool; every other refusal stands in the transcript. */
  approve(callId: string, options: ApproveOptions, onUnfit: (message: string) => void): void;
  reject(callId: string, reason: string): void;
  settle(callId: string, result: { readonly output: Json } | { readonly error: string }): void;
  fork(seq: number): void;
  showLog(count: number): void;
  /** Goes on with a run that is there: shows what was said, and what became of it. */
  pickUp(run: Run, options: { readonly owned: boolean; readonly allowChanged: boolean }): void;
}

export interface TalkOptions {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly transcript: Transcript;
  readonly onChange: () => void;
}

export function createTalk({ agent, log, transcript, onChange }: TalkOptions): Talk {
  let conversation = createConversation(transcript, { asking: true });
  /** Commands under way. Their answers matter only where they were refused. */
  const commands = new Set<Promise<void>>();
  let run: Run | undefined;
  /** What came while the past was still being shown. */
  let held: Event[] | undefined;
  /** A run was picked up, and what it found is not said yet. */
  let found = false;

  /** Owns a command until it is answered. */
  function adopt(command: Promise<Answer | void>): void {
    const owned = command
      .then(
        async (answer) => {
          if (answer?.accepted !== false) return;
          if (answer.reason === "not_owner" && run !== undefined) {
            // From now on it is followed, as any other run of another process.
            const { id, durableSeq } = run;
            run = await agent.open(id);
            await catchUp(run, durableSeq);
            transcript.add("note", "Another process took it over. What you say from now on goes there.");
            return;
          }
          const why = answer.message?.replace("Resume with allowChanged", "Start with --resume --allow-changed");
          transcript.add("note", why === undefined ? `Not now: ${refusalOf(answer.reason)}.` : oneLine(why, 600));
        },
        (error: unknown) => {
          transcript.add("error", oneLine(messageOf(error), 400));
        },
      )
      .finally(() => {
        commands.delete(owned);
        onChange();
      });
    commands.add(owned);
  }

  /** For what needs a run. */
  function withRun(what: string, act: (of: Run) => Promise<Answer | void>): void {
    if (run === undefined) transcript.add("note", `There is nothing to ${what} yet.`);
    else adopt(act(run));
  }

  async function fork(of: Run, seq: number): Promise<void> {
    const forked = await agent.fork(of.id, { at: seq });
    run = forked;
    conversation = createConversation(transcript, { asking: true });
    transcript.add(
      "note",
      `This is ${shortId(forked.id)} now, a copy of ${shortId(of.id)} up to seq ${seq}. What was said after that is not part of it.`,
    );
  }

  /** Shows what is stored after a seq; what comes meanwhile waits. */
  async function catchUp(of: Run, after: number, begun = true): Promise<void> {
    const until = of.state.seq;
    held = [];
    try {
      for await (const event of storedEvents(log, of.id, after)) {
        if (event.seq > until) break;
        // Half a turn says little: from its next beginning on.
        begun ||= event.type === "user_input" || event.type === "resume";
        if (begun) conversation.follow(event);
      }
    } finally {
      const late = held;
      held = undefined;
      for (const event of late) if (event.seq > until) conversation.follow(event);
    }
  }

  async function pickUp(
    of: Run,
    { owned, allowChanged }: { readonly owned: boolean; readonly allowChanged: boolean },
  ): Promise<Answer | void> {
    const short = of.state.seq <= SHOWN_BEFORE;
    if (!short) transcript.add("info", "(what was said before is in the log: /log)");
    await catchUp(of, Math.max(0, of.state.seq - SHOWN_BEFORE), short);
    const { state } = of;
    transcript.add("note", describeFound(state, owned));
    onChange();
    const settled = isAtRest(state);
    if (owned || (settled && !allowChanged)) {
      if (settled) for (const line of describePending(state)) transcript.add("note", line);
      return undefined;
    }
    if (allowChanged && state.status !== "done") return agent.resume(of.id, undefined, { allowChanged });
    if (settled) return undefined;
    // The process that worked on it is gone. It is brought to rest, so that whoever picked it up says how it goes on.
    const stopped = await of.interrupt("its process ended", { mode: "now", by: "recovery" });
    return stopped;
  }

  return {
    get run() {
      return run;
    },
    get conversation() {
      return conversation;
    },
    get asked() {
      return held === undefined && !found ? run?.state : undefined;
    },
    follow(event) {
      if (run !== undefined && event.runId !== run.id) return false;
      if (held !== undefined) {
        held.push(event);
        return false;
      }
      conversation.follow(event);
      if (event.type === "interrupted" && run !== undefined) {
        for (const line of describePending(run.state)) transcript.add("note", line);
        const more = run.state.limit === undefined ? undefined : raiseOf(run.state.limit);
        if (more !== undefined) transcript.add("note", `/budget ${more} goes on (all in all, not more of it)`);
      }
      return true;
    },
    say(text, when) {
      if (run === undefined) run = agent.run(text);
      else adopt(run.send(text, { when }));
    },
    resume(text, partial, budget) {
      withRun("resume", async (of) => of.resume(text, { partial, ...(budget === undefined ? {} : { budget }) }));
    },
    approve(callId, options, onUnfit) {
      withRun("approve", async (of) => {
        const answer = await of.approve(callId, options);
        if (answer.accepted || answer.reason !== "invalid_args") return answer;
        onUnfit(answer.message ?? refusalOf(answer.reason));
        return undefined;
      });
    },
    reject(callId, reason) {
      withRun("reject", async (of) => of.reject(callId, reason));
    },
    interrupt(mode) {
      if (run !== undefined) adopt(run.interrupt("", { mode }));
    },
    settle(callId, result) {
      withRun("settle", async (of) => of.settleCall(callId, result));
    },
    fork(seq) {
      withRun("fork", async (of) => fork(of, seq));
    },
    showLog(count) {
      withRun("show", async (of) => {
        const events = await of.history("*", count);
        transcript.add("info", events.map(describeEvent).join("\n"));
      });
    },
    pickUp(of, options) {
      run = of;
      found = true;
      const shown = pickUp(of, options).finally(() => {
        found = false;
      });
      adopt(shown);
    },
  };
}
