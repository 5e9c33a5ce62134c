import { preloadCalculate } from "../../tools/calculate.ts";
import { createAsker } from "./asker.ts";
import type { Event } from "../../machines/events.ts";
import type { Run } from "../run.ts";
import { describeState, whenOf } from "./describe-state.ts";
import { EXIT } from "./exit-code.ts";
import { shortId } from "./find-run.ts";
import { decide, hintOf, isWorking, phaseOf, readKeys, type Press, type Situation } from "./keys.ts";
import { createPacer } from "./pacer.ts";
import { createPrompt } from "./prompt.ts";
import { oneLine } from "./sanitizer.ts";
import { createScreen, type LiveArea } from "./screen.ts";
import { createScrubber, type Scrubber } from "./scrubber.ts";
import type { Setup } from "./setup.ts";
import { onTermination } from "./signals.ts";
import { readSlash, SLASH_HELP, type Slash } from "./slash.ts";
import { statusLine } from "./status-line.ts";
import { createTalk } from "./talk.ts";
import { openTerminal } from "./terminal.ts";
import { createTheme, wantsColour } from "./theme.ts";
import { createTranscript } from "./transcript.ts";
import { fit } from "./wrap.ts";

const FRAME_MS = 33;
/** How often the figures of the status line move while it works. */
const TICK_MS = 100;
/** Waiting inputs that are listed above the prompt. */
const MAX_LISTED = 4;

/** A run that the chat goes on with. */
export interface PickedUp {
  readonly run: Run;
  /** A process that lives has it. */
  readonly owned: boolean;
  readonly allowChanged: boolean;
}

export interface ChatOptions {
  readonly setup: Setup;
  readonly pickedUp: PickedUp | undefined;
  /** How this program was called, where the conversation is kept and can be gone on with. */
  readonly goOn: string | undefined;
}

/** Talks in the terminal until the person leaves. Answers the exit code. Closes the agent, and gives the terminal back whatever happens. */
export async function chat({ setup, pickedUp, goOn }: ChatOptions): Promise<number> {
  const { agent, log, modelName, notice, change, warning } = setup;
  const theme = createTheme(wantsColour(process.env));
  const transcript = createTranscript(theme);
  let scrubber: Scrubber | undefined;
  let again = false;
  let leaving = false;
  let drawnWidth = 0;
  let clock = { since: 0, from: 0, to: 0 };
  /** What an interrupt put back into the prompt: sent unchanged it needs no second message. */
  let restored: string | undefined;
  let leave = (_code: number): void => {};
  let crash = (_error: unknown): void => {};
  const left = new Promise<number>((resolve, reject) => {
    leave = resolve;
    crash = reject;
  });

  /** What throws in a callback of the terminal must end the chat, not leave the terminal as it is. */
  function guarded<Args extends unknown[]>(job: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        job(...args);
      } catch (error) {
        crash(error);
      }
    };
  }

  const pacer = createPacer(guarded(paint), FRAME_MS, TICK_MS);
  const terminal = openTerminal({
    onKey: guarded(onKey),
    onPaste: guarded((text) => {
      again = false;
      prompt.paste(text);
      pacer.request();
    }),
    onResize: () => {
      pacer.request();
    },
    onEnd: () => {
      leave(EXIT.done);
    },
  });
  const screen = createScreen((text) => {
    terminal.write(text);
  });
  const talk = createTalk({
    agent,
    log,
    transcript,
    onChange: () => {
      pacer.request();
    },
  });
  const prompt = createPrompt(() => terminal.rows, guarded(onEnter), theme);
  const asker = createAsker({
    transcript,
    approve: (callId, options, onUnfit) => {
      talk.approve(callId, options, onUnfit);
    },
    reject: (callId, reason) => {
      talk.reject(callId, reason);
    },
    onEdit: (text) => {
      prompt.set(text);
    },
  });

  /** What waits for an answer now. What stands in the prompt was typed before anybody asked. */
  function followCalls(): void {
    if (leaving || !asker.follow(talk.asked)) return;
    if (prompt.text.trim() !== "" && !/^\s*\//.test(prompt.text)) prompt.set(`/say ${prompt.text}`);
  }

  function paint(): void {
    followCalls();
    const width = terminal.columns;
    const live = liveArea(width);
    if (drawnWidth !== 0 && drawnWidth !== width) {
      const { finished, open } = transcript.retake(width, terminal.rows);
      screen.redraw(finished, withOpenRows(open, live), terminal.rows);
    } else {
      const { finished, open } = transcript.take(width);
      screen.paint(finished, withOpenRows(open, live));
    }
    drawnWidth = width;
    if (scrubber === undefined) asker.drawn();
  }

  function liveArea(width: number): LiveArea {
    const { run, conversation } = talk;
    const phase = phaseOf(run?.state);
    const working = isWorking(phase);
    if (working) clock = { ...clock, to: performance.now() };
    // Whoever waits for a person has nothing that moves.
    pacer.ticking(working && !leaving && phase !== "waiting");
    const elapsedMs = clock.to - clock.from;
    const note = leaving ? "leaving" : undefined;
    const { progress, turn } = conversation;
    const facts = { elapsedMs, progress, note, retryFor: turn.retryFor, now: Date.now() };
    const status = statusLine(run?.state, facts, theme, width - 1);
    if (scrubber !== undefined) {
      const rows = ["", ...scrubber.rows(width - 1)].slice(-Math.max(1, terminal.rows - 1));
      return { rows, cursor: { row: rows.length - 1, column: 0 } };
    }
    const edited = prompt.render(width - 1, asker.hint || hintOf(phase, run?.state.interruptRequested ?? false));
    const above = ["", ...waitingRows(width), status];
    // The prompt is what must be seen where the terminal is too low for all.
    const rows = [...above, ...edited.rows].slice(-Math.max(1, terminal.rows - 1));
    const cut = above.length + edited.rows.length - rows.length;
    return { rows, cursor: { row: Math.max(0, above.length + edited.row - cut), column: edited.column } };
  }

  function withOpenRows(open: readonly string[], { rows, cursor }: LiveArea): LiveArea {
    if (open.length === 0 || rows.length + open.length >= terminal.rows) return { rows, cursor };
    return { rows: [...open, ...rows], cursor: { row: cursor.row + open.length, column: cursor.column } };
  }

  function waitingRows(width: number): string[] {
    const inputs = talk.run?.state.inputs ?? [];
    const { others } = asker;
    const calls = others.slice(0, MAX_LISTED).map((line) => theme.dim(fit(`↳ also waits: ${line}`, width - 1)));
    if (others.length > MAX_LISTED) calls.push(theme.dim(`↳ and ${others.length - MAX_LISTED} more`));
    const rows = inputs
      .slice(0, MAX_LISTED)
      .map(({ queue, text }) => theme.dim(fit(`↳ ${whenOf(queue)}: ${oneLine(text, 400)}`, width - 1)));
    if (inputs.length > MAX_LISTED) rows.push(theme.dim(`↳ and ${inputs.length - MAX_LISTED} more`));
    // The prompt holds the arguments: its hint stands above.
    const edit = asker.editing ? [theme.dim(fit(`  ${asker.hint}`, width - 1))] : [];
    return [...calls, ...rows, ...edit];
  }

  function onEvent(event: Event): void {
    if (!talk.follow(event)) return;
    const { turn } = talk.conversation;
    if (turn.since !== clock.since) clock = { since: turn.since, from: performance.now(), to: performance.now() };
    const stopped = event.type === "interrupted" && event.data.by === "user";
    if (stopped && !turn.answered && turn.input !== undefined && prompt.text === "" && !leaving) {
      prompt.set(turn.input);
      restored = turn.input;
    }
    pacer.request();
  }

  function onKey(bytes: string): void {
    const presses = readKeys(bytes, prompt.text);
    for (const press of presses) {
      if (scrubber === undefined || leaving) act(press);
      else {
        if (!scrubber.key(press.bytes)) scrubber = undefined;
        // Who looks at the log can stop the run all the same.
        if (press.key === "ctrl-c" && isWorking(phaseOf(talk.run?.state))) act(press);
      }
    }
    pacer.request();
  }

  function act({ key, bytes }: Press): void {
    const text = prompt.text;
    const state = talk.run?.state;
    const asks = asker.call === undefined ? "no" : asker.editing ? "editing" : "asking";
    const stopAsked = state?.interruptRequested ?? false;
    const situation: Situation = { phase: phaseOf(state), stopAsked, text, asks, again };
    again = key === "ctrl-c";
    // Closing waits for a tool that does not stop. Whoever cannot wait need not.
    if (leaving && key === "ctrl-c") process.exit(EXIT.interrupted);
    const action = decide(key, situation);
    switch (action.type) {
      case "edit":
        prompt.key(bytes);
        return;
      case "interrupt":
        talk.interrupt(action.mode);
        return;
      case "redirect":
        prompt.set("");
        say(text, "now");
        return;
      case "follow_up":
        prompt.set("");
        say(text, "done");
        return;
      case "enter":
        prompt.set("");
        onEnter(text);
        return;
      case "clear":
        prompt.set("");
        return;
      case "leave_edit":
        asker.leaveEdit();
        prompt.set("");
        return;
      case "leave":
        leave(EXIT.done);
        return;
      case "nothing":
    }
  }

  function onEnter(text: string): void {
    followCalls();
    const unchanged = text === restored;
    const phase = phaseOf(talk.run?.state);
    restored = undefined;
    if (text.trim() === "" || (unchanged && phase === "interrupted")) {
      if (phase === "interrupted" || phase === "failed") talk.resume(undefined, "keep");
      return;
    }
    const slash = asker.editing ? undefined : readSlash(text);
    if (slash === undefined && asker.call !== undefined) prompt.set(asker.enter(text));
    else if (slash === undefined) say(text, "step");
    else {
      prompt.remember(text);
      obey(slash);
    }
  }

  function say(text: string, when: "now" | "step" | "done"): void {
    prompt.remember(text);
    talk.say(text, when);
  }

  function obey(slash: Slash): void {
    const { run } = talk;
    switch (slash.type) {
      case "help":
        transcript.add("info", SLASH_HELP);
        return;
      case "state":
        transcript.add("info", run === undefined ? "Nothing was said yet." : describeState(run.state, run.durableSeq));
        return;
      case "log":
        if (slash.count !== undefined) talk.showLog(slash.count);
        else if (run === undefined) transcript.add("note", "There is nothing to show yet.");
        else scrubber = createScrubber({ log, runId: run.id, theme, onChange: () => pacer.request() });
        return;
      case "fork":
        talk.fork(slash.seq);
        return;
      case "settle":
        talk.settle(slash.callId, slash.result);
        return;
      case "after":
        say(slash.text, "done");
        return;
      case "resume":
        talk.resume(slash.text, slash.partial, slash.budget);
        return;
      case "say":
        say(slash.text, slash.when);
        return;
      case "approve":
        asker.approve(slash.callId);
        return;
      case "reject":
        asker.reject(slash.callId, slash.reason);
        return;
      case "exit":
        leave(EXIT.done);
        return;
      case "wrong":
        transcript.add("note", slash.message);
    }
  }

  const unsubscribe = agent.subscribe("*", guarded(onEvent));
  const signals = onTermination(() => {
    onKey("\u0003");
  }, leave);
  // Now and not when the first Esc may be pressed: loading holds the keys up.
  preloadCalculate();
  transcript.add("info", `rubato, model ${oneLine(modelName, 60)}`);
  for (const text of [notice, change]) if (text !== undefined) transcript.add("note", text);
  if (warning !== undefined) transcript.add("error", warning);
  if (pickedUp !== undefined) talk.pickUp(pickedUp.run, pickedUp);
  pacer.request();
  try {
    const code = await left;
    leaving = true;
    scrubber = undefined;
    pacer.request();
    await agent.close();
    if (goOn !== undefined && talk.run !== undefined && talk.run.state.status !== "cancelled") {
      transcript.add("info", `To go on: ${goOn} --resume ${shortId(talk.run.id)}`);
    }
    return code;
  } finally {
    signals();
    unsubscribe();
    pacer.stop();
    const { finished, open } = transcript.take(terminal.columns);
    screen.paint([...finished, ...open], { rows: [""], cursor: { row: 0, column: 0 } });
    screen.clear();
    terminal.stop();
  }
}
