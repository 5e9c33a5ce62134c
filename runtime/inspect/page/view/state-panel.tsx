import type { ComponentChildren } from "preact";
import type { AgentState } from "../../../../machines/state.ts";
import { argumentLines } from "../../../cli/exposed.ts";
import { describeLimit } from "../../../cli/describe-limit.ts";
import type { Json } from "../../../../machines/events.ts";
import type { Message } from "../../../../machines/messages.ts";
import { stateJson } from "../../../server/state-json.ts";
import { headOf } from "../../../cli/head-of.ts";
import { cut, jsonOf, LONGEST as LONGEST_JSON } from "./event-panel.tsx";

/** Of long conversations the end is shown: the moment is there. */
const LAST_MESSAGES = 30;
const LAST_CALLS = 30;
/** Raw, each is long. */
const RAW_LAST = 12;
const LONGEST = 8_000;

export function StatePanel({ state }: { state: AgentState }) {
  const { usage, core } = state;
  return (
    <dl class="facts">
      <Fact name="status">{state.status}</Fact>
      <Fact name="chart">{state.value}</Fact>
      <Fact name="turn, step">
        {state.turn}, {state.step}
      </Fact>
      <Fact name="agent">{core.start?.agent.name ?? "none yet"}</Fact>
      <Fact name="model">{core.start?.model ?? "none yet"}</Fact>
      <Fact name="tokens">
        {usage.inputTokens} in, {usage.outputTokens} out, {usage.requests} requests
        {usage.unknownRequests > 0 ? `, ${usage.unknownRequests} of unknown usage` : ""}
      </Fact>
      {usage.cost === undefined ? null : <Fact name="cost">{Number(usage.cost.toPrecision(4))}</Fact>}
      <Fact name="interrupt">
        {core.interrupt === undefined
          ? "not requested"
          : `${core.interrupt.mode}, by ${core.interrupt.by} in ${core.interrupt.where}${core.interrupt.reason === "" ? "" : `: ${cut(core.interrupt.reason, LONGEST)}`}`}
      </Fact>
      {state.inputs.length === 0 ? null : (
        <Fact name="waiting">
          {state.inputs.map(({ text, queue }) => `“${text.slice(0, 80)}” (${queue})`).join(", ")}
        </Fact>
      )}
      {state.limit === undefined ? null : <Fact name="limit">{describeLimit(state.limit)}</Fact>}
      {state.error === undefined ? null : (
        <Fact name="error">
          {state.error.code}: {cut(state.error.message, LONGEST)}
        </Fact>
      )}
      {core.start?.fork === undefined ? null : (
        <Fact name="forked from">
          {core.start.fork.runId}, seq {core.start.fork.seq}
        </Fact>
      )}
      {state.output === "" ? null : <Fact name="output">{state.output.slice(0, LONGEST)}</Fact>}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

/** The conversation as the model would get it, and what streams now. */
export function MessagesPanel({ state }: { state: AgentState }) {
  const { messages, partial } = state;
  const hidden = Math.max(0, messages.length - LAST_MESSAGES);
  return (
    <div class="messages">
      {hidden > 0 ? <p class="dim">{hidden} earlier messages</p> : null}
      {messages.length === 0 && partial === undefined ? <p class="empty">Nothing was said yet.</p> : null}
      {messages.slice(hidden).map((message, index) => (
        <MessageOf key={hidden + index} message={message} />
      ))}
      {partial === undefined ? null : (
        <article class="message assistant streaming">
          <h4>assistant, streaming</h4>
          {partial.reasoning === "" ? null : <p class="reasoning">{end(partial.reasoning)}</p>}
          <p>{end(partial.text)}</p>
          {partial.calls.map(({ callId, name, args }) => (
            <p key={callId} class="call">
              {name} {args.slice(-400)}
            </p>
          ))}
        </article>
      )}
    </div>
  );
}

function MessageOf({ message }: { message: Message }) {
  const { role, content } = message;
  const calls = message.role === "assistant" ? (message.toolCalls ?? []) : [];
  return (
    <article class={`message ${role}`}>
      <h4>
        {role === "tool" ? `tool ${message.callId} ${message.name}` : role}
        {role === "assistant" && message.cut === true ? <span class="badge stop">cut</span> : null}
      </h4>
      {content === "" ? null : <p>{end(content)}</p>}
      {calls.map(({ callId, name, args }) => (
        <p key={callId} class="call">
          {callId} {name} {args.slice(0, 400)}
        </p>
      ))}
    </article>
  );
}

export function CallsPanel({ state }: { state: AgentState }) {
  const calls = [...state.toolCalls.values()];
  const hidden = Math.max(0, calls.length - LAST_CALLS);
  return (
    <div class="calls">
      {calls.length === 0 ? <p class="empty">No tool was called yet.</p> : null}
      {hidden > 0 ? <p class="dim">{hidden} earlier calls</p> : null}
      {calls.slice(hidden).map(({ callId, name, phase, outcome, args, rawArgs, output, error, attempt }) => (
        <article key={callId} class="call-card">
          <h4>
            {callId} {name}{" "}
            <span class={`badge ${outcome === "ok" ? "good" : outcome === undefined ? "open" : "bad"}`}>
              {outcome ?? phase}
            </span>
            {attempt > 1 ? <span class="dim"> attempt {attempt}</span> : null}
          </h4>
          <pre>{args === undefined ? cut(rawArgs) : linesOf(args)}</pre>
          {error === undefined ? null : (
            <p class="bad-text">
              {error.code}: {cut(error.message, LONGEST)}
            </p>
          )}
          {output === undefined ? null : <pre>{typeof output === "string" ? cut(output) : jsonOf(output)}</pre>}
        </article>
      ))}
    </div>
  );
}

/** Arguments as lines, as many as are shown. */
function linesOf(args: Json): string {
  // Twice as much: as lines it is shorter than as JSON.
  const text = argumentLines(headOf(args, 2 * LONGEST_JSON)).join("\n");
  return text.length <= LONGEST_JSON ? text : `${text.slice(0, LONGEST_JSON)}\n… and more`;
}

export function RawPanel({ state }: { state: AgentState }) {
  const { messages, toolCalls, ...rest } = stateJson(state);
  const raw = { ...rest, messages: messages.slice(-RAW_LAST), toolCalls: toolCalls.slice(-RAW_LAST) };
  return (
    <div class="detail">
      {messages.length > RAW_LAST || toolCalls.length > RAW_LAST ? (
        <p class="dim">
          Of {messages.length} messages and {toolCalls.length} calls the last are shown.
        </p>
      ) : null}
      <pre class="json raw">{jsonOf(raw)}</pre>
    </div>
  );
}

/** The end of a text is what the moment is about. */
function end(text: string): string {
  return text.length <= LONGEST ? text : `… ${text.slice(-LONGEST)}`;
}
