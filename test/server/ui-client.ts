import { AbstractChat, DefaultChatTransport, type ChatState, type ChatStatus, type UIMessage } from "ai";
import { expect } from "vitest";
import { framesOf, type Wire } from "./agui-client.ts";
import { checkUi } from "./ui-check.ts";
import type { Served } from "./served.ts";

/** What `useChat` keeps in React's state. */
class PlainState implements ChatState<UIMessage> {
  status: ChatStatus = "ready";
  error: Error | undefined = undefined;
  messages: UIMessage[];

  constructor(messages: UIMessage[]) {
    this.messages = messages;
  }

  pushMessage(message: UIMessage): void {
    this.messages = [...this.messages, this.snapshot(message)];
  }

  popMessage(): void {
    this.messages = this.messages.slice(0, -1);
  }

  replaceMessage(index: number, message: UIMessage): void {
    this.messages = this.messages.map((one, at) => (at === index ? this.snapshot(message) : one));
  }

  snapshot<Value>(value: Value): Value {
    return structuredClone(value);
  }
}

/** What stands behind `useChat`, without React, with what came over the wire. */
export class UiClient extends AbstractChat<UIMessage> {
  readonly bodies: Promise<string>[];
  readonly statuses: number[];
  readonly datas: Wire[];

  constructor(
    served: Served,
    id: string,
    { messages = [], query = "", body }: { messages?: UIMessage[]; query?: string; body?: object } = {},
  ) {
    const bodies: Promise<string>[] = [];
    const statuses: number[] = [];
    const datas: Wire[] = [];
    let next = 0;
    super({
      id,
      generateId: () => `said-${id}-${++next}`,
      state: new PlainState(messages),
      onData: (part) => datas.push(part),
      transport: new DefaultChatTransport({
        api: `${served.url}/ui/chat${query}`,
        ...(body === undefined ? {} : { body }),
        fetch: async (url, init) => {
          const response = await fetch(url, init);
          statuses.push(response.status);
          bodies.push(
            response
              .clone()
              .text()
              .catch(() => ""),
          );
          return response;
        },
      }),
    });
    this.bodies = bodies;
    this.statuses = statuses;
    this.datas = datas;
  }

  /** The chunks of the last stream, checked to be valid, ended, and to be followed by the mark of the end. */
  async last(before?: UIMessage): Promise<Wire[]> {
    const body = (await this.bodies.at(-1)) ?? "";
    expect(body.endsWith("data: [DONE]\n\n: end rest\n\n") || body.includes("data: [DONE]\n\n")).toBe(true);
    const chunks = framesOf(body);
    expect((await checkUi(chunks, before)).problems).toEqual([]);
    return chunks;
  }

  get answer(): UIMessage | undefined {
    return this.messages.findLast(({ role }) => role === "assistant");
  }

  /** Of the last answer: type and state of each part. */
  get parts(): string[] {
    return (this.answer?.parts ?? []).map((part) => ("state" in part ? `${part.type} ${part.state}` : part.type));
  }
}
