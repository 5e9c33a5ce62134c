import { useState } from "preact/hooks";
import type { ToolCallState } from "../../../../machines/state.ts";
import { argumentLines, expose } from "../../../cli/exposed.ts";
import { useUnsent, type Asking } from "./asking.ts";
import { jsonIn, saidOf } from "./typed.ts";

interface Props {
  readonly call: ToolCallState;
  readonly asking: Asking;
}

/** A call that ran in a process that ended: whoever knows how it ended says so, and nothing of it runs again. */
export function UnknownCall({ call, asking }: Props) {
  const { callId, name, args } = call;
  const [text, setText] = useState("");
  const said = saidOf(text);
  const which = `${expose(name)} ${callId}`;
  const key = `settle ${callId}`;
  useUnsent(asking, key, which, text);
  return (
    <article class="approval" aria-label={`Nobody knows how ${which} ended`}>
      <h4>
        {expose(name)} <span class="dim">{callId} has no known outcome</span>
      </h4>
      <pre>{argumentLines(args).join("\n")}</pre>
      <p class="dim">
        It ran in a process that ended. Say how it ended, and the model reads that; Resume without saying so reports it
        as unknown.
      </p>
      <textarea
        rows={2}
        aria-label={`What ${which} answered, or what went wrong`}
        placeholder="what it answered (JSON or text), or what went wrong"
        value={text}
        onInput={(input) => setText(input.currentTarget.value)}
      />
      <div class="buttons">
        <button
          type="button"
          aria-label={`It succeeded: ${which}`}
          aria-disabled={asking.isAsked(key)}
          onClick={() =>
            asking.ask(key, "settle", (run) => run.settleCall(callId, { output: jsonIn(text)?.json ?? said ?? null }))
          }
        >
          It succeeded
        </button>
        <button
          type="button"
          class="stop"
          aria-label={`It failed: ${which}`}
          aria-disabled={asking.isAsked(key)}
          disabled={said === undefined}
          onClick={() => asking.ask(key, "settle", (run) => run.settleCall(callId, { error: said ?? "It failed." }))}
        >
          It failed
        </button>
      </div>
    </article>
  );
}
