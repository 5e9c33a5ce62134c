import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT, source, type Ended } from "../project/child.ts";

// Every demo as a process of its own, without a terminal: the scripted person plays it to its end.

function demo(...args: readonly string[]): Promise<Ended> {
  return source(join(ROOT, "demos/main.ts"), ...args);
}

/** Runs one demo and answers its lines. */
async function linesOf(number: string): Promise<string[]> {
  const { code, out, err } = await demo(number);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out.split("\n");
}

/** The lines that match, in the order of the output. */
function find(lines: readonly string[], pattern: RegExp): string[] {
  return lines.filter((line) => pattern.test(line));
}

describe.concurrent("the demos", () => {
  it("are listed, each with what it shows", async ({ expect }) => {
    const { code, out } = await demo();
    expect(code).toBe(0);
    const files = readdirSync(join(ROOT, "demos")).filter((file) => /^\d\d-/.test(file));
    const listed = [...out.matchAll(/npm run demo (\d\d) {3}\S/g)].map(([, number]) => number);
    expect(listed).toEqual(files.map((file) => file.slice(0, 2)).sort());
  });

  it("say so when there is no such demo", async ({ expect }) => {
    expect(await demo("99")).toMatchObject({ code: 2, out: "", err: expect.stringContaining("99") });
  });

  it("00: steps event by event, with the interrupt check at each", async ({ expect }) => {
    const lines = await linesOf("00");
    expect(find(lines, /interrupt\? YES/)).toHaveLength(3);
    expect(find(lines, /^ *\d+ tool_result/)).toHaveLength(2);
    expect(find(lines, /REFUSED/)).toEqual([expect.stringContaining("unknown_call")]);
    expect(find(lines, /history/).at(-1)).toMatch(/user assistant tool:ok user assistant$/);
    expect(find(lines, /^ {3}state/).at(-1)).toContain("done (status done, step 2, tools: none)");
  });

  it("01: runs, iterates, settles", async ({ expect }) => {
    const lines = await linesOf("01");
    const seqs = lines.flatMap((line) => /^ +(\d+) [a-z]/.exec(line)?.[1] ?? []).map(Number);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    expect(find(lines, /token_stream/).length).toBeGreaterThan(5);
    expect(find(lines, /^outcome = /)).toEqual([expect.stringContaining('"status":"done"')]);
  });

  it("02: runs at most two of three tools at once and gives each one outcome", async ({ expect }) => {
    const lines = await linesOf("02");
    expect(find(lines, /tool_call_delta /).length).toBeGreaterThan(3);
    expect(find(lines, / tool_start /)).toHaveLength(3);
    expect(find(lines, / tool_result /)).toHaveLength(3);
    expect(find(lines, /^most at a time = 2$/)).toHaveLength(1);
    expect(find(lines, /^output = /)).toEqual([expect.stringContaining("Paris 15 °C, Rome 25 °C, Oslo 5 °C")]);
  });

  it("03: stops in mid-sentence, in mid-tool and at a boundary, each with its receipt, and goes on", async ({
    expect,
  }) => {
    const lines = await linesOf("03");
    const receipts = find(lines, /^receipt = .*"effective":true/);
    expect(receipts).toHaveLength(3);
    expect(receipts[0]).toMatch(/"where":"thinking\.streaming".*"keptChars":1\d\d,"latencyMs":/);
    expect(receipts[1]).toContain('"where":"acting.executing"');
    expect(find(lines, /^call /).map((line) => /"outcome":"(\w+)"/.exec(line)?.[1])).toEqual([
      "aborted",
      "aborted",
      "ok",
      "ok",
    ]);
    expect(find(lines, /^assistant = "On the last rock/)).toHaveLength(1);
    expect(find(lines, / done +after/)).toEqual([
      expect.stringContaining("somebody came"),
      expect.stringContaining("Oslo 41 °F"),
      expect.stringContaining("Paris 59 °F, Rome 77 °F"),
    ]);
    expect(find(lines, /"accepted":false,"reason":"done"/)).toHaveLength(1);
  });

  it("04: redirects, steers and follows up, each with the receipt of its delivery", async ({ expect }) => {
    const lines = await linesOf("04");
    expect(find(lines, /^input_delivered = /)).toEqual([
      'input_delivered = {"id":"now-1","delivered":true,"queue":"step","step":2}',
      'input_delivered = {"id":"step-1","delivered":true,"queue":"step","step":2}',
      'input_delivered = {"id":"done-1","delivered":true,"queue":"done","step":3}',
    ]);
    expect(find(lines, / interrupted +where/)).toHaveLength(1);
    expect(find(lines, / done +after 3 steps: "It is Paris 59 °F, Rome 77 °F/)).toHaveLength(1);
    expect(find(lines, /^turns = 2$/)).toHaveLength(1);
  });

  it("05: interrupts one of two agents, the other finishes", async ({ expect }) => {
    const lines = await linesOf("05");
    expect(find(lines, /^left {2}= /)[0]).toContain('"status":"interrupted"');
    expect(find(lines, /^right = /)[0]).toContain(
      '"status":"done","output":"It is Paris 15 °C, Rome 25 °C, Oslo 5 °C."',
    );
    const sides = Number(/= (\d+)$/.exec(find(lines, /^changes of side/)[0] ?? "")?.[1]);
    expect(sides).toBeGreaterThan(5);
    const stop = lines.indexOf("interrupted");
    expect(lines.slice(stop).some((line) => line.endsWith(" tool_result"))).toBe(true);
  });

  it("06: folds a log to the very state of the live run, and asks no model", async ({ expect }) => {
    const lines = await linesOf("06");
    expect(find(lines, /^events refused = 0$/)).toHaveLength(1);
    expect(find(lines, /=== encodeState\(run\.state\) = true$/)).toHaveLength(1);
    const requests = find(lines, /^requests to the model/);
    expect(requests).toHaveLength(2);
    expect(requests[0]).toBe(requests[1]);
    expect(find(lines, /interrupted\.draining -> interrupted\.paused/)).toHaveLength(1);
  });

  it("07: goes on with the run of a killed process, asks about the call that must not run twice", async ({
    expect,
  }) => {
    const lines = await linesOf("07");
    expect(find(lines, /^the process ended by = "SIGKILL"$/)).toHaveLength(1);
    expect(find(lines, /^run\.settled\(\) = .*"not_running"/)).toHaveLength(1);
    expect(find(lines, /^nobody knows how it ended = "pay /)).toHaveLength(1);
    expect(find(lines, /^output = .*The ticket: paid, the account says/)).toHaveLength(1);
    expect(find(lines, / tool_start .*pay$/)).toHaveLength(1);
    expect(find(lines, /^verify\(log, run\) = \{"ok":true/)).toHaveLength(1);
  });

  it("08: replays without a request, and forks into another future and another past", async ({ expect }) => {
    const lines = await linesOf("08");
    expect(find(lines, /^requests to the model meanwhile = 0$/)).toHaveLength(1);
    expect(find(lines, /^fork = /)).toEqual([
      'fork = "It is Paris 59 °F, Rome 77 °F."',
      'fork = "It is Paris 40 °C, Rome 25 °C."',
      String.raw`fork = "It\nIt is Paris 59 °F, Rome 77 °F."`,
    ]);
    expect(find(lines, /^original = "It is Paris 15 °C, Rome 25 °C\."$/).length).toBeGreaterThan(0);
    expect(find(lines, /^check = \{"ok":true/)).toHaveLength(1);
  });

  it("09: asks for approvals: approved, edited, rejected, and allowed for the rest of the run", async ({ expect }) => {
    const lines = await linesOf("09");
    expect(find(lines, /^status = "waiting"$/)).toHaveLength(1);
    expect(find(lines, / approval_request /)).toHaveLength(4);
    expect(
      find(lines, /^receipt = /).map((line) => /"accepted":(\w+)(?:,"reason":"(\w+)")?/.exec(line)?.slice(1)),
    ).toEqual([
      ["true", undefined],
      ["false", "invalid_args"],
      ["true", undefined],
      ["true", undefined],
      ["true", undefined],
    ]);
    expect(find(lines, / tool_result .*rejected "she is on holiday"$/)).toHaveLength(1);
    expect(find(lines, /^ {2}\w+@work\.example: /)).toEqual([
      "  ann@work.example: See you at 9.",
      "  bob@work.example: See you at 10.",
      "  dan@work.example: See you at 9.",
      "  eve@work.example: See you at 9.",
    ]);
    expect(find(lines, /^allowed tools = \["mail"\]$/)).toHaveLength(1);
  });

  it("10: asks again after a wait, drops what the attempt before had said, falls back, stops a wait", async ({
    expect,
  }) => {
    const lines = await linesOf("10");
    expect(
      find(lines, / retry .* in \d+ ms/).map((line) => /attempt (\d) in (\d+) ms, (\d+)/.exec(line)?.slice(1)),
    ).toEqual([
      ["2", "20", "20"],
      ["3", "40", "0"],
      ["2", "29970", "0"],
    ]);
    expect(find(lines, / retry .*attempt 2 by the next model/)).toHaveLength(1);
    expect(find(lines, /^output = /)).toEqual([
      'output = "The answer is forty-two."',
      'output = "Forty-two, says the spare."',
      'output = "At last."',
    ]);
    expect(find(lines, /^messages = \["user","assistant"\]$/)).toHaveLength(1);
    expect(find(lines, /^receipt = .*"where":"thinking\.backoff"/)).toHaveLength(1);
  });

  it("11: rests at a budget and in a circle, and goes on with more, or with an instruction", async ({ expect }) => {
    const lines = await linesOf("11");
    expect(find(lines, /^ *\d+ limit /).map((line) => /limit +(\w+): (\d+) of (\d+)/.exec(line)?.slice(1))).toEqual([
      ["output_tokens", "40", "30"],
      ["repeats", "3", "3"],
    ]);
    expect(find(lines, /^run\.resume\(\) = \{"accepted":false,"reason":"limit"\}$/)).toHaveLength(1);
    expect(find(lines, / done +after/)).toEqual([
      expect.stringContaining("It is 15 °C in Paris."),
      expect.stringContaining("I guess 15 °C."),
    ]);
    expect(find(lines, /^usage = .*"cost":0\.000144\}$/)).toHaveLength(1);
  });

  it("12: serves the pages under their policy, and loses nothing when one is reloaded", async ({ expect }) => {
    const lines = await linesOf("12");
    expect(find(lines, /^ {2}http:\/\/127\.0\.0\.1:\d+\/(?:plain|react)\.html$/)).toHaveLength(2);
    expect(find(lines, /^plain\.html = "default-src 'none'; script-src 'self';/)).toHaveLength(1);
    expect(find(lines, /^receipt = .*"effective":true,"where":"thinking\.streaming"/)).toHaveLength(1);
    expect(find(lines, /^kept, with nothing lost = true$/)).toHaveLength(1);
    expect(find(lines, /^output = "17\*23 = 391\."$/)).toHaveLength(1);
  });
});
