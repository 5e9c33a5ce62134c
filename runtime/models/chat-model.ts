import type { Message } from "../../machines/messages.ts";

/** What the model is told about a tool. `parameters` is JSON schema (draft 7) of an object. */
export interface ToolDescription {
  readonly name: string;
  readonly description: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** One request to a model. Everything in it is read-only and stays as it is while the request runs. */
export interface ModelRequest {
  /** The agent's instructions, or "" when it has none. */
  readonly instructions: string;
  /** Valid for a provider: each call has exactly one result, in call order. */
  readonly messages: readonly Message[];
  readonly tools: readonly ToolDescription[];
  /** W3C Trace Context of this request, where it is to be handed on. */
  readonly traceparent?: string;
  /** What goes with it. */
  readonly tracestate?: string | undefined;
}

export type Usage = { readonly inputTokens: number; readonly outputTokens: number };

/** One piece of a model's answer. Pieces of several tool calls may come in any interleaving; `index` says which call. */
export type ModelChunk =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | {
      readonly type: "tool_call";
      /** Position of the call in the message, from 0. */
      readonly index: number;
      readonly id?: string;
      readonly name?: string;
      /** A fragment of the arguments' JSON text. */
      readonly args?: string;
    }
  | {
      /** The last piece. `length`: the answer was cut by a token limit. */
      readonly type: "finish";
      readonly finish: "stop" | "tool_calls" | "length";
      readonly usage?: Usage;
    };

/**
 * The port that an endpoint implements.
 *
 * Contract: an iteration that ends without `finish` counts as `truncated`; one that throws is classified and recorded as an error; after
 * `signal` aborts nothing it yields counts, and it should end soon (rubato does not wait for it). `stream` is called once per request; it must
 * not start work before the first `next()`.
 */
export interface ChatModel {
  readonly name: string;
  stream(request: ModelRequest, options: { readonly signal: AbortSignal }): AsyncIterable<ModelChunk>;
}
