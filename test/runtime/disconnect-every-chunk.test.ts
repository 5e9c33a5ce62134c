import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, replay } from "rubato";
import { eventsOf } from "../support/agents.ts";
import { deltaFrame, faultServer, type Fault, type Frame } from "../support/fault-server.ts";
import { httpAgent, withoutWaits } from "../support/http-run.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

// An answer with text and two streamed tool calls whose connection ends after every one of its chunks, once torn and once cleanly.

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const TEXT = ["I look ", "at ", "both."];
const call = (index: number, id: string, city: string): Frame[] => {
  const args = JSON.stringify({ city });
  return [
    deltaFrame({ tool_calls: [{ index, id, type: "function", function: { name: "weather", arguments: "" } }] }),
    ...[args.slice(0, 5), args.slice(5, 11), args.slice(11)].map((part) =>
      deltaFrame({ tool_calls: [{ index, function: { arguments: part } }] }),
    ),
  ];
};
const [first, ...restOfFirst] = call(0, "a", "Rome");
const [second, ...restOfSecond] = call(1, "b", "Oslo");
if (first === undefined || second === undefined) throw new Error("a call has frames");
const FRAMES: readonly Frame[] = [
  deltaFrame({ role: "assistant", content: "" }),
  ...TEXT.map((content) => deltaFrame({ content })),
  deltaFrame({ reasoning_content: "hm" }),
  // The two stream into each other.
  first,
  second,
  ...restOfFirst.flatMap((frame, index) => [frame, restOfSecond[index] ?? frame]),
  deltaFrame({}, "tool_calls"),
];
const FULL: Fault = { frames: FRAMES, end: "done" };
const LAST: Fault = {
  frames: [deltaFrame({ content: "Warm, " }), deltaFrame({ content: "cold." }, "stop")],
  end: "done",
};

async function play(answers: readonly Fault[]) {
  const ran: string[] = [];
  const weather = defineTool({
    name: "weather",
    description: "",
    input: z.object({ city: z.string() }),
    execute({ city }, { callId, attempt }) {
      ran.push(`${callId} ${attempt} ${city}`);
      return `${city}: ${city.length}`;
    },
  });
  const server = await faultServer(answers);
  const { agent, log, clock } = httpAgent([server], { tools: [weather] });
  closing.push(
    () => server.close(),
    () => agent.close(),
  );
  const run = agent.run("go");
  const heard = new Map<string, string>();
  run.subscribe("token_stream", ({ data: { kind, messageId, attempt, offset, text } }) => {
    if (kind !== "text") return;
    const key = `${messageId} ${attempt}`;
    expect(offset, "a subscriber can put the text together").toBe(heard.get(key)?.length ?? 0);
    heard.set(key, (heard.get(key) ?? "") + text);
  });
  const outcome = await withoutWaits(run, clock);
  const { messages, toolCalls, step, turn, output } = run.state;
  const final = { status: outcome.status, messages, toolCalls: [...toolCalls], step, turn, output };
  expect(clock.pending).toBe(0);
  return { run, log, final, heard, ran, requests: server.requests.length };
}

describe("P30 P14 case 19 zirkelc/ai-retry#51 langchain-ai/deepagents#5905", () => {
  const moments = (["cut", "close"] as const).flatMap((end) =>
    FRAMES.map((_frame, sent) => [end === "cut" ? "torn" : "ended cleanly", sent, end] as const),
  );

  it.each(moments)(
    "%s after %i chunks: the same final state, nothing doubled, each tool once",
    async (_how, sent, end) => {
      const { final } = await play([FULL, LAST]);
      const {
        run,
        log,
        final: again,
        heard,
        ran,
        requests,
      } = await play([{ frames: FRAMES.slice(0, sent), end }, FULL, LAST]);
      expect(again).toEqual(final);
      expect(ran.toSorted()).toEqual(["1.0 1 Rome", "1.1 1 Oslo"]);
      expect(requests).toBe(3);

      const said = TEXT.slice(0, Math.max(0, sent - 1)).join("");
      expect(heard.get("m1 1") ?? "").toBe(said);
      expect(heard.get("m1 2")).toBe(TEXT.join(""));
      const retries = (await eventsOf(log, run, "retry")).map(({ data }) => data);
      expect(retries).toMatchObject([{ step: 1, attempt: 2, class: end === "cut" ? "network" : "truncated" }]);
      expect(retries[0]?.superseded, "what the superseded attempt said is marked").toBe(said.length || undefined);
      expect((await eventsOf(log, run, "message")).map(({ data }) => [data.attempt, data.finish])).toEqual([
        [2, "tool_calls"],
        [1, "stop"],
      ]);

      for await (const { state } of replay(log, run.id)) {
        expect(TEXT.join(""), "no prefix of the log shows doubled text").toContain(
          state.step === 1 ? (state.partial?.text ?? "") : "",
        );
      }
      checkLog(await stored(log, run.id));
    },
  );

  it("torn after the reason to finish it is complete: nothing is asked again", async () => {
    const { final } = await play([FULL, LAST]);
    const torn = await play([{ frames: FRAMES, end: "cut" }, LAST]);
    expect(torn.final).toEqual(final);
    expect(torn.requests).toBe(2);
    expect(await eventsOf(torn.log, torn.run, "retry")).toEqual([]);
  });
});
