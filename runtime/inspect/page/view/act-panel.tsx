import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { AgentState } from "../../../../machines/state.ts";
import { raiseOf, readBudget } from "../../../cli/budget.ts";
import { Approval } from "./approval.tsx";
import { useAsking } from "./asking.ts";
import type { Session } from "./session.ts";
import { saidOf } from "./typed.ts";
import { UnknownCall } from "./unknown-call.tsx";

interface Props {
  readonly session: Session;
  /** The run as it is now, not at the moment: commands go to it. */
  readonly now: AgentState;
  readonly onFork: (runId: string) => void;
}

/**
 * Everything that can be said to a run. What was answered stands below.
 *
 * A1 What is typed stays until a command that took it was accepted, and what was typed meanwhile stays then too.
 * A2 The focus stays in the panel: where the control that had it is gone or can be pressed no more, it goes to the text that can be sent.
 * A3 A command that waits for its answer holds up no other one.
 */
export function ActPanel({ session, now, onFork }: Props) {
  const [text, setText] = useState("");
  const [when, setWhen] = useState<"step" | "now" | "done">("step");
  const [partial, setPartial] = useState<"keep" | "continue" | "discard">("keep");
  const [raise, setRaise] = useState<string | undefined>(undefined);
  const [sure, setSure] = useState(false);
  const { connection } = session;
  // Before its first event came a run has the id by which it was opened.
  const asking = useAsking(connection, session.main.recording.runId || session.title);
  const focus = useKeptFocus();
  if (connection === undefined || session.origin !== "run") {
    return (
      <p class="empty">
        This is a recording: nothing can be said to it. A page that <code>rubato serve</code> or{" "}
        <code>rubato inspect RUN</code> opened can send, interrupt, resume, approve and fork.
      </p>
    );
  }
  const at = session.seq;
  const reason = saidOf(text);
  const { ask, isAsked } = asking;
  const taken = (): void => setText((typed) => (typed === text ? "" : typed));
  const paused = now.value === "interrupted.paused" || now.value === "failed";
  const works =
    now.status === "thinking" ||
    now.status === "acting" ||
    now.status === "waiting" ||
    now.value === "interrupted.draining";
  const over = now.status === "cancelled";
  const raises = now.limit === undefined || !paused ? undefined : raiseOf(now.limit);
  const budget = raises === undefined ? undefined : readBudget([raise ?? raises]);
  const interrupt = (mode: "step" | "now"): void =>
    ask(`interrupt ${mode}`, "interrupt", (run) => run.interrupt(reason, { mode, by: "page" }), taken);
  return (
    <div class="act" ref={focus.panel} onFocusIn={focus.onFocusIn}>
      {now.pendingApprovals.map((call) => (
        <Approval key={`${call.callId} ${call.approval?.argsHash ?? ""}`} call={call} asking={asking} />
      ))}
      {now.orphans.map((call) => (
        <UnknownCall key={call.callId} call={call} asking={asking} />
      ))}
      <label>
        Say
        <textarea
          class="say"
          rows={3}
          value={text}
          readOnly={over}
          placeholder={over ? "The run was cancelled." : "Text for the agent"}
          onInput={(input) => setText(input.currentTarget.value)}
        />
      </label>
      <div class="buttons">
        <select
          aria-label="When it is heard"
          value={when}
          onChange={(change) => setWhen(whenOf(change.currentTarget.value))}
        >
          <option value="step">at the next step</option>
          <option value="now">now (redirect)</option>
          <option value="done">after the answer</option>
        </select>
        <button
          type="button"
          aria-disabled={isAsked(`send ${text}`)}
          disabled={over || reason === undefined}
          onClick={() => ask(`send ${text}`, "send", (run) => run.send(text, { when }), taken)}
        >
          Send
        </button>
      </div>
      <div class="buttons">
        <button
          type="button"
          aria-disabled={isAsked("interrupt step")}
          disabled={!works}
          onClick={() => interrupt("step")}
        >
          Interrupt at step
        </button>
        <button
          type="button"
          class="stop"
          aria-disabled={isAsked("interrupt now")}
          disabled={!works}
          onClick={() => interrupt("now")}
        >
          Interrupt now
        </button>
      </div>
      <div class="buttons">
        <select
          aria-label="The cut answer"
          value={partial}
          onChange={(change) => setPartial(partialOf(change.currentTarget.value))}
        >
          <option value="keep">keep the cut answer</option>
          <option value="continue">continue in it</option>
          <option value="discard">discard it</option>
        </select>
        {raises === undefined ? null : (
          <input
            type="text"
            class="budget"
            aria-label="Budget, all in all"
            aria-invalid={typeof budget === "string"}
            value={raise ?? raises}
            onInput={(input) => setRaise(input.currentTarget.value)}
          />
        )}
        <button
          type="button"
          aria-disabled={isAsked("resume")}
          disabled={!paused || typeof budget === "string"}
          onClick={() =>
            ask(
              "resume",
              "resume",
              (run) => run.resume(reason, { partial, by: "page", ...(typeof budget === "object" ? { budget } : {}) }),
              () => {
                taken();
                setRaise(undefined);
              },
            )
          }
        >
          Resume
        </button>
      </div>
      {typeof budget === "string" ? <p class="bad-text">{budget}</p> : null}
      <div class="buttons">
        <button
          type="button"
          aria-disabled={isAsked(`fork ${at}`)}
          disabled={at === 0}
          onClick={() =>
            ask(
              `fork ${at}`,
              "fork",
              (run) => run.fork({ at, ...(reason === undefined ? {} : { instruction: reason }) }),
              (forked) => {
                taken();
                if (forked !== undefined) onFork(forked);
              },
            )
          }
        >
          Fork from seq {at}
        </button>
        {sure && !over ? (
          <Sure
            onYes={() => {
              setSure(false);
              ask("cancel", "cancel", (run) => run.cancel(reason, { by: "page" }), taken);
            }}
            onNo={() => setSure(false)}
          />
        ) : (
          <button
            type="button"
            class="stop"
            aria-disabled={isAsked("cancel")}
            disabled={over}
            onClick={() => setSure(true)}
          >
            Cancel
          </button>
        )}
      </div>
      <ol class="answers" aria-label="What was answered" aria-live="polite">
        {asking.asked.map(({ id, said }) => (
          <li key={id}>{said}</li>
        ))}
      </ol>
    </div>
  );
}

/** It is final: asked once more. */
function Sure({ onYes, onNo }: { readonly onYes: () => void; readonly onNo: () => void }) {
  const no = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => no.current?.focus(), []);
  return (
    <span class="buttons" role="group" aria-label="Cancel this run for good?">
      <button type="button" class="stop" onClick={onYes}>
        Cancel for good
      </button>
      <button type="button" ref={no} onClick={onNo}>
        Keep it
      </button>
    </span>
  );
}

/** A2: a control that is gone, or disabled, leaves the focus to nobody. */
function useKeptFocus() {
  const panel = useRef<HTMLDivElement>(null);
  const last = useRef<Element | undefined>(undefined);
  useLayoutEffect(() => {
    const had = last.current;
    const { activeElement, body } = document;
    if (had === undefined || (had.isConnected && !had.matches(":disabled"))) return;
    last.current = undefined;
    if (activeElement !== null && activeElement !== body && activeElement !== had) return;
    panel.current?.querySelector<HTMLTextAreaElement>("textarea.say")?.focus({ preventScroll: true });
  });
  return {
    panel,
    onFocusIn: (event: FocusEvent): void => {
      last.current = event.target instanceof Element ? event.target : undefined;
    },
  };
}

function whenOf(value: string): "step" | "now" | "done" {
  return value === "now" || value === "done" ? value : "step";
}

function partialOf(value: string): "keep" | "continue" | "discard" {
  return value === "continue" || value === "discard" ? value : "keep";
}
