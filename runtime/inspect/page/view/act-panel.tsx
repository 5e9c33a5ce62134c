import { useState } from "preact/hooks";
import type { AgentState, ToolCallState } from "../../../../machines/state.ts";
import type { Json } from "../../../../machines/events.ts";
import type { Act } from "./connection.ts";
import { argumentLines, exposedJson } from "../../../cli/exposed.ts";
import { tell } from "./header.tsx";
import type { Session } from "./session.ts";

interface Props {
  readonly session: Session;
  /** The run as it is now, not at the moment: commands go to it. */
  readonly now: AgentState;
  readonly onFork: (runId: string) => void;
}

/** Of a fork: the id of its run. */
type Done = (runId: string | undefined) => void;
/** What a button does: asks, and says what was answered. */
type Press = (name: string, act: Act, done?: Done) => () => void;

/** Everything that can be said to a run. What was answered stands below. */
export function ActPanel({ session, now, onFork }: Props) {
  const [text, setText] = useState("");
  const [when, setWhen] = useState<"step" | "now" | "done">("step");
  const [partial, setPartial] = useState<"keep" | "continue" | "discard">("keep");
  const [answers, setAnswers] = useState<readonly string[]>([]);
  const [asking, setAsking] = useState(false);
  const { connection } = session;
  if (connection === undefined || session.origin !== "run") {
    return (
      <p class="empty">
        This is a recording: nothing can be said to it. A page that <code>rubato serve</code> or{" "}
        <code>rubato inspect RUN</code> opened can send, interrupt, resume, approve and fork.
      </p>
    );
  }
  const { runId } = session.main.recording;
  const at = session.seq;
  const reason = saidOf(text);
  const act = async (name: string, asked: Act, done?: Done): Promise<void> => {
    setAsking(true);
    const answer = await connection.command(runId, asked);
    setAsking(false);
    const said = answer.kind === "accepted" ? `accepted, seq ${answer.seq}` : `refused, ${answer.reason}`;
    setAnswers((before) => [`${name}: ${said}`, ...before].slice(0, 8));
    if (answer.kind === "accepted") done?.(answer.runId);
  };
  const press: Press = (name, asked, done) => () => {
    tell(session, act(name, asked, done));
  };
  const clear = (): void => setText("");
  const paused = now.value === "interrupted.paused" || now.value === "failed";
  const works =
    now.status === "thinking" ||
    now.status === "acting" ||
    now.status === "waiting" ||
    now.value === "interrupted.draining";
  const over = now.status === "cancelled";
  return (
    <div class="act">
      {now.pendingApprovals.map((call) => (
        <Approval key={`${call.callId} ${call.approval?.argsHash ?? ""}`} call={call} press={press} disabled={asking} />
      ))}
      <label>
        Say
        <textarea
          rows={3}
          value={text}
          disabled={over}
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
          disabled={asking || over || text.trim() === ""}
          onClick={press("send", (run) => run.send(text, { when }), clear)}
        >
          Send
        </button>
      </div>
      <div class="buttons">
        <button
          type="button"
          disabled={asking || !works}
          onClick={press("interrupt", (run) => run.interrupt(reason, { mode: "step", by: "page" }), clear)}
        >
          Interrupt at step
        </button>
        <button
          type="button"
          class="stop"
          disabled={asking || !works}
          onClick={press("interrupt", (run) => run.interrupt(reason, { mode: "now", by: "page" }), clear)}
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
        <button
          type="button"
          disabled={asking || !paused}
          onClick={press("resume", (run) => run.resume(reason, { partial, by: "page" }), clear)}
        >
          Resume
        </button>
      </div>
      <div class="buttons">
        <button
          type="button"
          disabled={asking || session.seq === 0}
          onClick={press(
            "fork",
            (run) => run.fork({ at, ...(reason === undefined ? {} : { instruction: reason }) }),
            (forked) => {
              clear();
              if (forked !== undefined) onFork(forked);
            },
          )}
        >
          Fork from seq {session.seq}
        </button>
        <button
          type="button"
          class="stop"
          disabled={asking || over}
          onClick={(click) => {
            // Final: asked once more.
            if (confirm("Cancel this run for good?"))
              press("cancel", (run) => run.cancel(reason, { by: "page" }), clear)();
            click.preventDefault();
          }}
        >
          Cancel
        </button>
      </div>
      {now.orphans.map(({ callId, name }) => (
        <p key={callId} class="dim">
          {callId} {name} ran in a process that ended, and nobody knows how it ended. Resume reports it to the model as
          unknown.
        </p>
      ))}
      <ol class="answers" aria-live="polite">
        {answers.map((said, index) => (
          <li key={`${answers.length - index}`}>{said}</li>
        ))}
      </ol>
    </div>
  );
}

interface ApprovalProps {
  readonly call: ToolCallState;
  readonly press: Press;
  readonly disabled: boolean;
}

/** A call that waits: all of its arguments, to be approved as they are, edited, or rejected. */
function Approval({ call, press, disabled }: ApprovalProps) {
  const { callId, name, args, approval } = call;
  const before = args === undefined ? "" : exposedJson(args, 2);
  const [edited, setEdited] = useState<string | undefined>(undefined);
  const [reason, setReason] = useState("");
  const value = edited === undefined ? undefined : parsed(edited);
  const changed = edited !== undefined && edited !== before;
  // The hash binds the approval to what was seen here; edited arguments get their own.
  const bound = approval === undefined ? {} : { argsHash: approval.argsHash };
  return (
    <article class="approval">
      <h4>
        {name} <span class="dim">{callId} waits for you</span>
      </h4>
      {edited === undefined ? (
        <pre>{argumentLines(args).join("\n")}</pre>
      ) : (
        <textarea
          rows={6}
          aria-label={`Arguments of ${name}`}
          aria-invalid={value === undefined}
          value={edited}
          onInput={(input) => setEdited(input.currentTarget.value)}
        />
      )}
      {edited !== undefined && value === undefined ? <p class="bad-text">This is no JSON yet.</p> : null}
      <div class="buttons">
        <button
          type="button"
          disabled={disabled || (edited !== undefined && value === undefined)}
          onClick={press("approve", (run) =>
            run.approve(callId, {
              by: "page",
              ...bound,
              ...(changed && value !== undefined ? { args: value.json } : {}),
            }),
          )}
        >
          {changed ? "Approve as edited" : "Approve"}
        </button>
        <button type="button" onClick={() => setEdited(edited === undefined ? before : undefined)}>
          {edited === undefined ? "Edit" : "Do not edit"}
        </button>
        <input
          type="text"
          aria-label="Why it is rejected"
          placeholder="reason"
          value={reason}
          onInput={(input) => setReason(input.currentTarget.value)}
        />
        <button
          type="button"
          class="stop"
          disabled={disabled}
          onClick={press("reject", (run) => run.reject(callId, saidOf(reason), { by: "page" }))}
        >
          Reject
        </button>
      </div>
    </article>
  );
}

function parsed(text: string): { readonly json: Json } | undefined {
  try {
    return { json: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function saidOf(text: string): string | undefined {
  return text.trim() === "" ? undefined : text.trim();
}

function whenOf(value: string): "step" | "now" | "done" {
  return value === "now" || value === "done" ? value : "step";
}

function partialOf(value: string): "keep" | "continue" | "discard" {
  return value === "continue" || value === "discard" ? value : "keep";
}
