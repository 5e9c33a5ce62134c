import { useState } from "preact/hooks";
import type { ToolCallState } from "../../../../machines/state.ts";
import { argumentLines, expose, exposedJson } from "../../../cli/exposed.ts";
import { useUnsent, type Asking } from "./asking.ts";
import { jsonIn, saidOf } from "./typed.ts";

interface Props {
  readonly call: ToolCallState;
  readonly asking: Asking;
}

/** A call that waits: all of its arguments, to be approved as they are, edited, or rejected. */
export function Approval({ call, asking }: Props) {
  const { callId, name, args, approval } = call;
  const before = args === undefined ? "" : exposedJson(args, 2);
  const [edited, setEdited] = useState<string | undefined>(undefined);
  const [reason, setReason] = useState("");
  const value = edited === undefined ? undefined : jsonIn(edited);
  const changed = edited !== undefined && edited !== before;
  const which = `${expose(name)} ${callId}`;
  // The hash binds the approval to what was seen here; edited arguments get their own.
  const bound = approval === undefined ? {} : { argsHash: approval.argsHash };
  const key = `answer ${callId}`;
  useUnsent(asking, key, which, [changed ? edited : "", reason].filter((text) => text !== "").join(" "));
  return (
    <article class="approval" aria-label={`${which} waits for you`}>
      <h4>
        {expose(name)} <span class="dim">{callId} waits for you</span>
      </h4>
      {edited === undefined ? (
        <pre>{argumentLines(args).join("\n")}</pre>
      ) : (
        <textarea
          rows={6}
          aria-label={`Arguments of ${which}`}
          aria-invalid={value === undefined}
          value={edited}
          onInput={(input) => setEdited(input.currentTarget.value)}
        />
      )}
      {edited !== undefined && value === undefined ? <p class="bad-text">This is no JSON yet.</p> : null}
      <div class="buttons">
        <button
          type="button"
          aria-label={`${changed ? "Approve as edited" : "Approve"}: ${which}`}
          aria-disabled={asking.isAsked(key)}
          disabled={edited !== undefined && value === undefined}
          onClick={() =>
            asking.ask(key, "approve", (run) =>
              run.approve(callId, {
                by: "page",
                ...bound,
                ...(changed && value !== undefined ? { args: value.json } : {}),
              }),
            )
          }
        >
          {changed ? "Approve as edited" : "Approve"}
        </button>
        <button
          type="button"
          aria-label={`${edited === undefined ? "Edit" : "Do not edit"}: ${which}`}
          onClick={() => setEdited(edited === undefined ? before : undefined)}
        >
          {edited === undefined ? "Edit" : "Do not edit"}
        </button>
        <input
          type="text"
          aria-label={`Why ${which} is rejected`}
          placeholder="reason"
          value={reason}
          onInput={(input) => setReason(input.currentTarget.value)}
        />
        <button
          type="button"
          class="stop"
          aria-label={`Reject: ${which}`}
          aria-disabled={asking.isAsked(key)}
          onClick={() => asking.ask(key, "reject", (run) => run.reject(callId, saidOf(reason), { by: "page" }))}
        >
          Reject
        </button>
      </div>
    </article>
  );
}
