import { matchesKey } from "@earendil-works/pi-tui";
import { isAtRest, type AgentState } from "../../machines/state.ts";
import { readSlash } from "./slash.ts";

/** A key that means something to the chat. Everything else is for the prompt. */
export type Key = "escape" | "ctrl-c" | "ctrl-d" | "alt-enter" | "edit";

/** Where the conversation stands, as far as keys care. */
export type Phase = "idle" | "thinking" | "acting" | "waiting" | "stopping" | "interrupted" | "failed" | "done";

export interface Situation {
  readonly phase: Phase;
  /** A stop at the end of the step is asked for already. */
  readonly stopAsked: boolean;
  readonly text: string;
  /** It asks about a call: what is typed is the answer. `editing`: its arguments. */
  readonly asks: "no" | "asking" | "editing";
  /** The key before this one was Ctrl-C too. */
  readonly again: boolean;
}

/** What a key does. */
export type Action =
  | { readonly type: "edit" }
  | { readonly type: "nothing" }
  | { readonly type: "interrupt"; readonly mode: "step" | "now" }
  | { readonly type: "redirect" }
  | { readonly type: "follow_up" }
  /** What Enter does. */
  | { readonly type: "enter" }
  | { readonly type: "clear" }
  | { readonly type: "leave_edit" }
  | { readonly type: "leave" };

/** A key, and the bytes that are its own. */
export interface Press {
  readonly key: Key;
  readonly bytes: string;
}

const ESC = "\u001b";
/** Behind ESC, what keys send that have no character: arrows, function keys, keys with modifiers. */
const NAMED_KEY = /^(?:\[[\d;:<?]*[A-Za-z~^$@]|O[A-DFHMP-S])$/;
/** What the prompt does with Alt and a letter: by words, and with what was cut. */
const ALT_EDITS = ["b", "f", "d", "y"];

/**
 * The keys in the bytes of one. Esc and what is typed right behind it come as one where the program was busy when they did, and are no Alt key and no
 * sequence then: a stop is not to be lost. Left to the prompt is what it knows with Alt, where there is something to edit.
 */
export function readKeys(bytes: string, text: string): Press[] {
  if (bytes === ESC + ESC) return [escape, escape];
  if (matchesKey(bytes, "escape")) return [{ key: "escape", bytes }];
  if (matchesKey(bytes, "ctrl+c")) return [{ key: "ctrl-c", bytes }];
  if (matchesKey(bytes, "ctrl+d")) return [{ key: "ctrl-d", bytes }];
  if (matchesKey(bytes, "alt+enter") || bytes === `${ESC}\r` || bytes === `${ESC}\n`)
    return [{ key: "alt-enter", bytes }];
  const typed = bytes.startsWith(ESC) ? bytes.slice(1) : "";
  if (typed === "" || isOneKey(typed, text)) return [{ key: "edit", bytes }];
  const behind = typed.startsWith(ESC) ? [typed] : Array.from(typed);
  return [escape, ...behind.flatMap((one) => readKeys(one, text))];
}

/** What a terminal answers to a question, to its end. */
function isAnswer(typed: string): boolean {
  return /^[P\]_^X]/.test(typed) && (typed.endsWith("\u0007") || typed.endsWith(`${ESC}\\`));
}

/** Whether these bytes and the ESC before them are one key of the prompt's, or nobody's. */
function isOneKey(typed: string, text: string): boolean {
  if (NAMED_KEY.test(typed.startsWith(ESC) ? typed.slice(1) : typed) || isAnswer(typed)) return true;
  if (text !== "" && ALT_EDITS.includes(typed)) return true;
  // Alt with a key such as Backspace. Ctrl-C and Ctrl-D are never a part of another key.
  return /^\p{Cc}$/u.test(typed) && typed !== "\u0003" && typed !== "\u0004";
}

const escape: Press = { key: "escape", bytes: ESC };

export function phaseOf(state: AgentState | undefined): Phase {
  if (state === undefined) return "idle";
  if (state.value === "interrupted.draining") return "stopping";
  if (!isAtRest(state)) return state.status === "acting" ? "acting" : "thinking";
  switch (state.status) {
    case "waiting":
    case "interrupted":
    case "failed":
    case "done":
      return state.status;
    default:
      return "idle";
  }
}

export function isWorking(phase: Phase): boolean {
  return phase === "thinking" || phase === "acting" || phase === "waiting" || phase === "stopping";
}

/** Decides what a key means. Pure. */
export function decide(key: Key, { phase, stopAsked, text, asks, again }: Situation): Action {
  const empty = text.trim() === "";
  switch (key) {
    case "edit":
      return { type: "edit" };
    case "alt-enter":
      // What is typed at a question is for nobody else.
      if (empty || asks !== "no") return { type: "nothing" };
      return readSlash(text) === undefined ? { type: "follow_up" } : { type: "enter" };
    case "ctrl-d":
      return empty ? { type: "leave" } : { type: "edit" };
    case "ctrl-c":
      if (again) return { type: "leave" };
      if (isWorking(phase)) return { type: "interrupt", mode: "now" };
      return empty ? { type: "leave" } : { type: "clear" };
    case "escape":
      if (asks === "editing") return { type: "leave_edit" };
      if (!isWorking(phase)) return { type: "nothing" };
      // A command of the chat's is nothing to tell a model: it stays in the prompt.
      if (!empty && asks === "no" && readSlash(text) === undefined) return { type: "redirect" };
      // A tool may finish its step, once; text stops at once.
      return { type: "interrupt", mode: phase === "acting" && !stopAsked ? "step" : "now" };
  }
}

/** What the empty prompt says: what the keys do now. */
export function hintOf(phase: Phase, stopAsked: boolean): string {
  switch (phase) {
    case "idle":
      return "Ask something (/help for more)";
    case "thinking":
      return "Esc stops, Enter steers, Esc with text redirects, Alt-Enter follows up";
    case "acting":
      return stopAsked
        ? "Esc again stops it now, Enter says how to go on"
        : "Esc stops after this step, Enter steers, Esc with text redirects";
    case "waiting":
      return "Esc stops, nothing that waits is run";
    case "stopping":
      return "Stopping";
    case "interrupted":
      return "New direction? (Enter alone goes on)";
    case "failed":
      return "Enter tries again, or say something else";
    case "done":
      return "Go on (/help for more)";
  }
}
