import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { pause, scriptedModel } from "rubato";
import { parseEvent } from "rubato/machines";
import { eventually, parseSse, served } from "./served.ts";

describe("curl -N", () => {
  it("shows a run while it works, and the log at its end", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["half ", gate, "whole"]]) });
    for (const more of [[], ["--compressed"], ["-H", "Accept: application/x-ndjson"]]) {
      const runId = `r${more.length}`;
      const curl = spawn("curl", [
        "-sN",
        ...more,
        "-H",
        "Content-Type: application/json",
        "-H",
        more.length === 2 ? "X: y" : "Accept: text/event-stream",
        "-d",
        JSON.stringify({ task: "x", runId }),
        `${it.url}/runs`,
      ]);
      let text = "";
      const closed = new Promise<number | null>((resolve) => curl.on("close", resolve));
      curl.stdout.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      if (more.length === 0) {
        await eventually(() => text.includes('"text":"half"'));
        expect(text).not.toContain("whole");
        gate.open();
      }
      expect(await closed).toBe(0);
      const events =
        more.length === 2
          ? text
              .trim()
              .split("\n")
              .map((line) => parseEvent(JSON.parse(line)))
          : parseSse(text).events;
      expect(events).toEqual(await it.events(runId));
    }
  });
});
