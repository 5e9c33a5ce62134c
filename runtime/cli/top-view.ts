import { z } from "zod";
import { oneLine } from "./sanitizer.ts";
import type { Theme } from "./theme.ts";
import { fit } from "./wrap.ts";

const counted = z.looseObject({ total: z.number(), recent: z.number() });
const latency = z.looseObject({
  recent: z.number(),
  p50: z.number(),
  p90: z.number(),
  p99: z.number(),
  max: z.number(),
});
const subscriber = z.looseObject({
  runId: z.string(),
  pattern: z.string(),
  overflow: z.string(),
  level: z.string(),
  queued: z.number(),
  merged: z.number(),
  dropped: z.number(),
});
const processFigures = z.looseObject({
  memory: z.looseObject({ rss: z.number(), heapUsed: z.number() }),
  cpu: z.looseObject({ percent: z.number() }),
  eventLoopLag: z.looseObject({ p99: z.number(), max: z.number() }),
  uptimeMs: z.number(),
});
const agentMetrics = z.looseObject({
  agent: z.string(),
  windowMs: z.number(),
  events: counted.extend({ perSecond: z.number() }),
  latency: z.record(z.string(), latency),
  subscribers: z.array(subscriber),
  errors: z.array(counted.extend({ source: z.string(), class: z.string(), severity: z.string() })),
  turns: z.record(z.string(), counted),
  failureRate: z.number(),
  recoveryRate: z.number(),
  requests: counted,
  retries: counted,
  limits: counted,
  toolCalls: z.record(z.string(), counted),
  tokens: z.looseObject({ input: counted, output: counted, unknownRequests: counted }),
  cost: counted,
  process: processFigures,
});

/** What `rubato top` needs of `GET /api/metrics`. */
export const metricsSchema = z.looseObject({
  agents: z.array(agentMetrics),
  runs: z.record(z.string(), z.number()),
  server: z.looseObject({
    connections: z.record(z.string(), z.looseObject({ open: z.number() })),
    runsWorking: z.number(),
  }),
});
export type ServerMetrics = z.infer<typeof metricsSchema>;
type AgentFigures = ServerMetrics["agents"][number];

/** The fullest queues that are shown, and the most frequent errors. */
const SHOWN = 5;

/** The figures as rows, each at most so wide. */
export function topRows(
  { agents, runs, server }: ServerMetrics,
  { url, width, theme }: { readonly url: string; readonly width: number; readonly theme: Theme },
): string[] {
  const [first] = agents;
  const connections = pairs(Object.entries(server.connections).map(([kind, { open }]) => [kind, open]));
  const rows: Row[] = [
    ["bold", `rubato top  ${oneLine(url, 200)}`],
    ...(first === undefined ? [] : processRows(first.process)),
    ["plain", `connections  ${connections}`],
    ["plain", `runs         ${pairs(Object.entries(runs))}   working here ${server.runsWorking}`],
    ...agents.flatMap(agentRows),
  ];
  return rows.map(([style, text]) => {
    const row = fit(text, width);
    return style === "plain" ? row : theme[style](row);
  });
}

type Row = readonly [style: "plain" | "bold" | "dim" | "warn" | "error", text: string];

function processRows({ memory, cpu, eventLoopLag, uptimeMs }: AgentFigures["process"]): Row[] {
  const lag = `lag p99 ${ms(eventLoopLag.p99)}, max ${ms(eventLoopLag.max)} ms`;
  const size = `memory ${megabytes(memory.rss)}, heap ${megabytes(memory.heapUsed)}`;
  return [["plain", `process      up ${Math.round(uptimeMs / 1_000)} s   cpu ${cpu.percent} %   ${size}   ${lag}`]];
}

function agentRows(metrics: AgentFigures): Row[] {
  const { events, turns, requests, retries, toolCalls, limits, tokens, cost, errors } = metrics;
  const counts = (of: Readonly<Record<string, { readonly recent: number }>>): string =>
    pairs(Object.entries(of).map(([name, { recent }]) => [name, recent]));
  const rates = `failed ${percent(metrics.failureRate)}, mended ${percent(metrics.recoveryRate)}`;
  const unknown = tokens.unknownRequests.recent === 0 ? "" : ` (unknown of ${tokens.unknownRequests.recent} requests)`;
  const spent = cost.total === 0 ? "" : `   cost ${cost.recent}, ${cost.total} in all`;
  const failed = turns["failed"]?.recent ?? 0;
  return [
    ["plain", ""],
    ["bold", `${oneLine(metrics.agent, 80)}, the last ${Math.round(metrics.windowMs / 1_000)} s`],
    ["plain", `  events     ${count(events.perSecond)}/s   ${count(events.total)} in all`],
    [failed > 0 ? "error" : "plain", `  turns      ${counts(turns)}   ${rates}`],
    ["plain", `  requests   ${requests.recent}   retries ${retries.recent}   limits ${limits.recent}`],
    ["plain", `  tools      ${Object.keys(toolCalls).length === 0 ? "-" : counts(toolCalls)}`],
    ["plain", `  tokens     in ${count(tokens.input.recent)}   out ${count(tokens.output.recent)}${unknown}${spent}`],
    ["dim", `  ms             ${["p50", "p90", "p99", "max", "of"].map((name) => name.padStart(9)).join("")}`],
    ...Object.entries(metrics.latency).map(([name, { p50, p90, p99, max, recent }]): Row => {
      const figures = recent === 0 ? ["-", "-", "-", "-"] : [p50, p90, p99, max].map(ms);
      return [
        "plain",
        `    ${oneLine(name, 12).padEnd(13)}${[...figures, String(recent)].map((text) => text.padStart(9)).join("")}`,
      ];
    }),
    ...queueRows(metrics.subscribers),
    ...errors
      .toSorted((a, b) => b.recent - a.recent)
      .slice(0, SHOWN)
      .map((error): Row => {
        const text = oneLine(`${error.source} ${error.class}, ${error.severity}`, 60);
        return ["warn", `  error      ${text}: ${error.recent}, ${error.total} in all`];
      }),
  ];
}

function queueRows(subscribers: AgentFigures["subscribers"]): Row[] {
  const fullest = subscribers.toSorted((a, b) => b.queued - a.queued).slice(0, SHOWN);
  const more = subscribers.length - fullest.length;
  return [
    ...fullest.map(({ runId, pattern, overflow, level, queued, merged, dropped }): Row => {
      const stands = `${oneLine(overflow, 12)}: ${oneLine(level, 12)}`;
      const text = `${oneLine(runId, 24)} ${oneLine(pattern, 20)}, ${stands}, ${queued} wait`;
      return [level === "green" ? "plain" : "warn", `  queue      ${text}, ${merged} merged, ${dropped} dropped`];
    }),
    ...(more > 0 ? [["dim", `             and ${more} more`] as const] : []),
  ];
}

function pairs(entries: readonly (readonly [string, number])[]): string {
  return entries.length === 0 ? "-" : entries.map(([name, value]) => `${oneLine(name, 20)} ${value}`).join("   ");
}

function count(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`;
}

function ms(value: number): string {
  return value.toFixed(value < 10 ? 3 : value < 1_000 ? 1 : 0);
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
