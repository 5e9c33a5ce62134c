import { LLMock, type MockServerOptions } from "@copilotkit/aimock";

/** aimock, an OpenAI-compatible endpoint that others wrote, on a free port of 127.0.0.1. Answers are set on `mock`. */
export interface Aimock {
  readonly mock: LLMock;
  /** With `/v1`, as a client wants it. */
  readonly baseURL: string;
  close(): Promise<void>;
}

export async function startAimock(options: MockServerOptions = {}): Promise<Aimock> {
  const mock = new LLMock({ logLevel: "silent", ...options, host: "127.0.0.1", port: 0 });
  await mock.start();
  return { mock, baseURL: `${mock.url}/v1`, close: () => mock.stop() };
}
