import { createServer } from "node:http";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { metricsSchema, topRows } from "../../runtime/cli/top-view.ts";
import { createTheme } from "../../runtime/cli/theme.ts";
import { columnsOf } from "../../runtime/cli/wrap.ts";
import { finished, served } from "../server/served.ts";
import { captured, stage } from "./stage.ts";

const TOKEN = "correct-horse-battery";

describe("rubato top", () => {
  it("prints the figures of a server once where there is no terminal, as rows or as JSON", async () => {
    const there = await served({}, { token: TOKEN });
    await finished(there, "r1");
    const here = stage({ io: { env: { RUBATO_TOKEN: TOKEN } } });
    const answer = await here.rubato("top", there.url);
    expect(answer).toMatchObject({ code: 0, err: "" });
    const count = (await there.events("r1")).length;
    expect(answer.out).toContain(`rubato top  ${there.url}\n`);
    expect(answer.out).toMatch(new RegExp(`events +[\\d.,]+/s +${count} in all`));
    expect(answer.out).toMatch(/turns +done 1 +interrupted 0 +failed 0 +cancelled 0/);
    expect(answer.out).toMatch(/runs +done 1/);
    const json = await here.rubato("top", `${there.url}/`, "--json");
    expect(metricsSchema.parse(JSON.parse(json.out)).agents[0]?.events.total).toBe(count);
    await here.close();
  });

  it("draws again every second until Ctrl-C, keeps what it has when the server goes away, and says so", async () => {
    const there = await served();
    const out = captured();
    const slept: number[] = [];
    let stop = (): void => {};
    const here = stage({
      io: {
        out,
        columns: 80,
        rows: 24,
        onSignal(callback) {
          stop = () => {
            callback(130);
          };
          return () => {};
        },
        async sleep(ms) {
          slept.push(ms);
          if (slept.length === 1) await finished(there, "r1");
          if (slept.length === 2) await there.server.close();
          if (slept.length === 3) stop();
        },
      },
    });
    const { code, err } = await here.rubato("top", there.url);
    expect([code, err, slept]).toEqual([0, "", [1_000, 1_000, 1_000]]);
    expect(out.text).toContain("turns      done 0");
    expect(out.text).toContain("turns      done 1");
    expect(out.text).toContain(`No server answers at ${there.url}`);
    await here.close();
  });

  it("draws anew in the size that the terminal has now", async () => {
    const there = await served();
    const terminal = { columns: 80, rows: 40 };
    let drawn = "";
    let draws = 0;
    let stop = (): void => {};
    const here = stage({
      io: {
        get columns() {
          return terminal.columns;
        },
        get rows() {
          return terminal.rows;
        },
        out: {
          ...captured(),
          async write(text: string) {
            drawn = text;
          },
        },
        onSignal(callback) {
          stop = () => {
            callback(130);
          };
          return () => {};
        },
        async sleep() {
          if (++draws === 1) Object.assign(terminal, { columns: 40, rows: 10 });
          else {
            const rows = drawn.split("\r\n");
            expect(rows).toHaveLength(10);
            expect(drawn).toContain("\u001b[H");
            // oxlint-disable-next-line no-control-regex
            for (const row of rows) expect(columnsOf(row.replace(/\u001b\[[\d?;]*[A-Za-z]|\r/g, ""))).toBeLessThan(40);
            stop();
          }
        },
      },
    });
    expect((await here.rubato("top", there.url)).code).toBe(0);
    expect(draws).toBe(2);
    await here.close();
  });

  it("believes nothing that a server says: no field of it reaches the terminal as a command, as rows or as JSON", async () => {
    const there = await served();
    const run = there.agent.run("How warm?", { runId: "r" });
    run.subscribe("*", () => {});
    await run.settled();
    const evil = "\u001b]0;title\u0007\u009b2J\u202e\u007f";
    // Every name and every text of the answer, the keys of records included.
    const poison = (value: unknown): unknown => {
      if (typeof value === "string") return `${value}${evil}`;
      if (Array.isArray(value)) return value.map(poison);
      if (typeof value !== "object" || value === null) return value;
      const more = Object.entries(value).map(([key, of]): [string, unknown] => [key, poison(of)]);
      const first = more[0]?.[1];
      return Object.fromEntries([...more, ...(more.length > 1 ? [[evil, first] as const] : [])]);
    };
    const answer = await (await fetch(`${there.url}/api/metrics`)).json();
    const server = createServer((_request, response) => {
      const { agents, ...rest } = z
        .looseObject({ agents: z.array(z.looseObject({ latency: z.unknown() })) })
        .parse(answer);
      const [agent] = agents;
      response.end(JSON.stringify({ ...rest, agents: [poison({ ...agent, errors: [], evil })] }));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const here = stage();
    for (const more of [[], ["--json"]]) {
      const { code, out, err } = await here.rubato("top", url, ...more);
      expect([code, err]).toEqual([0, ""]);
      expect(out).toContain(more.length === 0 ? "append" : "\\u009b");
      // oxlint-disable-next-line no-control-regex
      expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    }
    server.close();
    await here.close();
  });

  it.for([
    [["http://127.0.0.1:1"], 1, /No server answers at .*Start one with rubato serve/],
    [["nowhere"], 2, /takes the URL/],
    [["file:///etc/passwd"], 2, /takes the URL/],
    [["http://a", "http://b"], 2, /takes one server/],
  ] as const)("refuses %s", async ([args, code, message]) => {
    const here = stage();
    const answer = await here.rubato("top", ...args);
    expect([answer.code, answer.out]).toEqual([code, ""]);
    expect(answer.err).toMatch(message);
    await here.close();
  });

  it("says that a server wants its token, and what is no server of rubato's", async () => {
    const there = await served({}, { token: TOKEN });
    const here = stage();
    expect((await here.rubato("top", there.url)).err).toContain("needs its token");
    const open = await served();
    expect((await here.rubato("top", `${open.url}/runs`)).err).toContain("is no server of rubato's");
    await here.close();
  });

  it("shows hostile names as text, and no row wider than the terminal", async () => {
    const there = await served({ name: "evil\u001b]0;title\u0007\n\u202eagent" });
    const run = there.agent.run("How warm?", { runId: "r".repeat(120) });
    run.subscribe("*", () => new Promise(() => {}), { queue: { events: 5 }, overflow: "drop-newest" });
    await run.settled();
    const answer = await fetch(`${there.url}/api/metrics`);
    const rows = topRows(metricsSchema.parse(await answer.json()), { url: "u", width: 60, theme: createTheme(false) });
    expect(rows.some((row) => row.includes("drop-newest"))).toBe(true);
    for (const row of rows) {
      expect(columnsOf(row)).toBeLessThanOrEqual(60);
      // oxlint-disable-next-line no-control-regex
      expect(row).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
    }
  });
});
