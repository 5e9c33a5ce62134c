import type { Event, EventOf } from "rubato/machines";

/**
 * Why a run stands where it stands, derived from the lines of its log alone: no chart, no reducer, no `step()`. It knows less than the page does, and
 * what it knows the page has to say.
 */
export type Stand =
  | { readonly kind: "nothing" }
  | { readonly kind: "works" }
  | { readonly kind: "follows" }
  | { readonly kind: "backs off"; readonly attempt: number; readonly reason: string }
  /** Nobody asked: at a limit, or given up. */
  | {
      readonly kind: "stopping";
      readonly asked: EventOf<"interrupt"> | undefined;
      readonly cancels: boolean;
      readonly limit: EventOf<"limit"> | undefined;
      readonly forked: boolean;
    }
  | {
      readonly kind: "rests";
      readonly end: EventOf<"interrupted">;
      readonly asked: EventOf<"interrupt"> | undefined;
      readonly limit: EventOf<"limit"> | undefined;
      readonly unknown: readonly string[];
    }
  | { readonly kind: "waits"; readonly calls: readonly string[] }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  | { readonly kind: "cancelled"; readonly by: string; readonly reason: string };

type CallStand = "asked" | "announced" | "pending" | "ready" | "running" | "lost";

/** Goes through a log, one line after the other, and answers after each where the run stands. */
export function* standsOf(events: readonly Event[]): Generator<Stand, void, undefined> {
  let begun = false;
  let rest: EventOf<"done" | "interrupted" | "failed" | "cancelled"> | undefined;
  let asked: EventOf<"interrupt"> | undefined;
  /** Of the stop that rests now. */
  let restAsked: EventOf<"interrupt"> | undefined;
  let cancels = false;
  let limit: EventOf<"limit"> | undefined;
  let givenUp = false;
  let forked = false;
  let resumed = false;
  let retry: EventOf<"retry"> | undefined;
  let calls = new Map<string, CallStand>();
  const inputs = new Map<string, string>();
  /** Whether a person was asked, or a result left nothing but what a person is asked: before that the calls are still being announced. */
  let turned = false;

  const begins = (): void => {
    rest = undefined;
    asked = undefined;
    restAsked = undefined;
    limit = undefined;
    givenUp = false;
    forked = false;
    resumed = false;
    retry = undefined;
  };

  for (const event of events) {
    switch (event.type) {
      case "user_input": {
        inputs.set(event.data.id, event.data.when === "done" ? "done" : "step");
        const restsPaused = rest?.type === "interrupted";
        if (!begun || (rest !== undefined && !restsPaused)) begins();
        begun = true;
        break;
      }
      case "input_delivered":
        inputs.delete(event.data.id);
        if (event.data.delivered && rest?.type === "done") begins();
        break;
      case "resume":
        if (rest !== undefined) begins();
        else resumed = true;
        break;
      case "interrupt":
        asked = event;
        cancels ||= event.data.cancel === true;
        resumed = false;
        break;
      case "limit":
        limit = event;
        break;
      case "owner":
        if (rest === undefined && event.data.recoveries >= 5 && asked === undefined) givenUp = true;
        if (rest === undefined && begun && event.data.why === "fork") forked = true;
        for (const [id, at] of calls) if (at === "running") calls.set(id, "lost");
        break;
      case "thinking":
        retry = undefined;
        break;
      case "retry":
        retry = event;
        break;
      case "retry_due":
        retry = undefined;
        break;
      case "deadline":
        if (event.data.name === "wall_time") retry = undefined;
        break;
      case "message":
        if (event.data.finish !== "interrupted" && event.data.finish !== "truncated") {
          calls = new Map(event.data.calls.map(({ callId }) => [callId, "asked"]));
          turned = false;
        }
        break;
      case "tool_call":
        calls.set(event.data.callId, event.data.approval === "required" ? "pending" : "ready");
        turned = false;
        break;
      case "approval_request":
        turned = true;
        break;
      case "approval":
        calls.set(event.data.callId, "ready");
        break;
      case "tool_start":
        calls.set(event.data.callId, "running");
        turned = false;
        break;
      case "tool_result":
        if (event.data.late === true) break;
        calls.delete(event.data.callId);
        turned = true;
        break;
      case "interrupted":
        if (resumed && ![...calls.values()].includes("lost")) begins();
        else {
          rest = event;
          restAsked = asked;
          asked = undefined;
        }
        break;
      case "done":
      case "failed":
      case "cancelled":
        rest = event;
        asked = undefined;
        break;
      default:
        break;
    }
    yield stand();
  }

  function stand(): Stand {
    const waits = [...calls.values()];
    switch (rest?.type) {
      case "cancelled":
        return { kind: "cancelled", by: rest.data.by, reason: rest.data.reason };
      case "failed":
        return { kind: "failed", ...rest.data.error };
      case "done":
        return [...inputs.values()].includes("done") ? { kind: "follows" } : { kind: "done" };
      case "interrupted": {
        const unknown = [...calls].flatMap(([id, at]) => (at === "lost" ? [id] : []));
        return { kind: "rests", end: rest, asked: restAsked, limit, unknown };
      }
      case undefined:
        break;
    }
    if (!begun) return { kind: "nothing" };
    if (asked !== undefined || limit !== undefined || givenUp || forked)
      return { kind: "stopping", asked, cancels, limit, forked };
    if (retry !== undefined) return { kind: "backs off", attempt: retry.data.attempt, reason: retry.data.reason };
    if (turned && waits.length > 0 && waits.every((at) => at === "pending"))
      return { kind: "waits", calls: [...calls.keys()] };
    return { kind: "works" };
  }
}

/** What is wrong with a sentence, whatever it is about; `own` is what is left of it without what the log says. */
export function badWords(said: string, own = said): string | undefined {
  if (/undefined|NaN|null|\[object/.test(own)) return "it says a value that is none";
  if (/\(\)|“”|""|: [.,;)]|: $| {2}|\s[.,;]/.test(own)) return "a word is missing";
  if (!/^[A-Z].{10,}[.)…]$/.test(said)) return "it is no sentence on one line";
  return said.length > 2_000 ? `it has ${said.length} characters` : undefined;
}

/** What the sentence does not say of where the run stands, or says wrongly. */
export function problemWith(said: string, at: Stand, seq: number): string | undefined {
  const [must, mustNot] = wordsFor(at);
  let own = said;
  for (const words of must) {
    if (!said.includes(words)) return `it does not say “${words}”`;
    // What the log says is no fault of the sentence.
    if (words !== "") own = own.replace(words, "X");
  }
  for (const words of mustNot) if (said.includes(words)) return `it says “${words}”`;
  for (const [, named] of own.matchAll(/(?<!copied up to )seq (\d+)/g)) {
    if (Number(named) > seq) return `it names seq ${named}, which is later`;
  }
  // The guard that it names is the one that led there.
  const led = LED_TO[at.kind];
  const [, to] = / held: \S+ → ([\w.]+)\)/.exec(said) ?? [];
  if (led !== undefined && to !== undefined && to !== led) return `its guard led to ${to}`;
  return badWords(said, own);
}

const LED_TO: Readonly<Partial<Record<Stand["kind"], string>>> = {
  rests: "interrupted.paused",
  waits: "acting.awaiting_approval",
  done: "thinking.finishing",
};

const STOPPED = [
  "It stopped because",
  "It rests",
  "It is done:",
  "It failed",
  "It was cancelled",
  "waits for a person",
];
const WORKS = ["It has not stopped", "was asked to", "waits to ask the model", "comes to rest", "goes on by itself"];

function wordsFor(at: Stand): readonly [must: readonly string[], mustNot: readonly string[]] {
  switch (at.kind) {
    case "nothing":
      return [["Nothing was asked yet."], [...STOPPED, ...WORKS]];
    // The chart alone knows that it has just reached its steps: the `limit` is about to be recorded.
    case "works":
      return [[], [...STOPPED, "was asked to", "waits to ask the model", "is done"]];
    case "follows":
      return [["It is done with this turn, and goes on by itself", "to be heard"], STOPPED];
    case "backs off":
      return [[`It waits to ask the model again, as attempt ${at.attempt}: `, start(at.reason)], STOPPED];
    case "stopping": {
      const { asked, cancels, limit, forked } = at;
      const words = limit === undefined ? [] : [" limit: ", start(limit.data.raise)];
      const never = [...STOPPED, "has not stopped"];
      if (asked === undefined) {
        if (forked) words.push("It is a fork");
        else words.push(limit === undefined ? "is given up" : "comes to rest at a limit: ");
        return [words, [...never, "was asked to"]];
      }
      const { by, reason } = asked.data;
      if (cancels) return [[...words, "asked to end for good by ", by], never];
      if (by === "input") return [[...words, "It was redirected", `at seq ${asked.seq}`], never];
      return [[...words, `It was asked to stop by ${by}`, start(reason), `at seq ${asked.seq}`], never];
    }
    case "rests":
      return [restWords(at), [...WORKS, "It is done:", "It failed", "It was cancelled"]];
    case "waits":
      return [["It waits for a person: ", "an approval, and nothing else runs", ...at.calls.slice(0, 5)], WORKS];
    case "done":
      return [["It is done: the answer of step "], [...WORKS, "It stopped", "It rests"]];
    case "failed":
      return [[`It failed (${at.code}): `, start(at.message), "It can be resumed."], WORKS];
    case "cancelled":
      return [[`It was cancelled by ${at.by}`, start(at.reason), "that is final."], WORKS];
  }
}

function restWords({ end, asked, limit, unknown }: Extract<Stand, { kind: "rests" }>): string[] {
  const { by, reason, where } = end.data;
  const words = unknown.map((callId) => callId);
  if (unknown.length > 0) words.push("Nobody knows how ");
  if (limit !== undefined) words.push("rests at a limit: ", start(limit.data.raise));
  if (by === "limit") return [...words, "It rests at a limit: "];
  words.push("It stopped because ", `in ${where}`);
  if (by === "fork") return [...words, "it is a fork of "];
  if (by === "recovery" && asked === undefined) return [...words, "it was recovered again and again"];
  if (asked !== undefined) words.push(`at seq ${asked.seq}`);
  return by === "input" ? [...words, "redirected"] : [...words, `${by} asked for it`, start(reason)];
}

/** Texts are shown on one line, and not as a whole where they are long. */
function start(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text.replaceAll(/ +/g, " ").trim().slice(0, 190) : "";
}
