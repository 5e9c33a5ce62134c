import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { createWebSocketInspector, createWebSocketReceiver, type StatelyInspectionEvent } from "@statelyai/inspect";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocketServer } from "ws";
import { createActor, createMachine, type InspectionEvent } from "xstate";
import { z } from "zod";
import { createAgent, defineTool, memoryLog, pause, scriptedModel, type Event } from "rubato";
import { inspectAgent, inspectLog, webSocketInspector } from "rubato/inspect";
import { agentMachine, initialState, isHot, toolCallMachine, toMermaid, type AgentState } from "rubato/machines";
import { Shadow } from "../../runtime/shadow.ts";
import { testAgent, until } from "../support/agents.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { fold } from "../support/invariants.ts";
import { leftBehind } from "../support/left-behind.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { eventually } from "../server/served.ts";

/** A server that hands what one client sends to all others, as Stately's own does, with the official receiver as one of them. */
async function bridge(port = 0) {
  const http = createServer();
  const sockets = new WebSocketServer({ server: http });
  sockets.on("connection", (socket) => {
    socket.on("message", (data: Buffer) => {
      for (const other of sockets.clients) if (other !== socket) other.send(data.toString());
    });
  });
  await new Promise<void>((resolve) => {
    http.listen(port, "127.0.0.1", resolve);
  });
  const address: AddressInfo = addressOf(http.address());
  const url = `ws://127.0.0.1:${address.port}`;
  const received: StatelyInspectionEvent[] = [];
  createWebSocketReceiver({ server: url }).subscribe((event) => {
    received.push(event);
  });
  await eventually(() => sockets.clients.size === 1);
  const close = async (): Promise<void> => {
    for (const socket of sockets.clients) socket.terminate();
    await new Promise((resolve) => {
      http.close(resolve);
    });
  };
  onTestFinished(close);
  return { url, port: address.port, received, close, clients: () => sockets.clients.size };
}

function addressOf(address: ReturnType<ReturnType<typeof createServer>["address"]>): AddressInfo {
  if (typeof address === "object" && address !== null) return address;
  throw new Error("it listens");
}

/** What both ways of saying it have to agree on. */
function essence(event: StatelyInspectionEvent): unknown {
  const { type, sessionId, rootId, id } = event;
  const base = { type, sessionId, rootId, id, version: event._version, at: typeof event.createdAt };
  switch (event.type) {
    case "@xstate.actor":
      return {
        ...base,
        name: event.name,
        definition: JSON.parse(event.definition ?? "null"),
        parentId: event.parentId,
      };
    case "@xstate.event":
      return { ...base, event: event.event, sourceId: event.sourceId };
    case "@xstate.snapshot": {
      const { snapshot } = event;
      const value = "value" in snapshot ? snapshot.value : undefined;
      const context = "context" in snapshot ? snapshot.context : undefined;
      return { ...base, event: event.event, status: snapshot.status, value, context };
    }
  }
}

function golden() {
  return { model: goldenModel(), tools: goldenTools({ started: [], finished: [], aborted: [] }) };
}

/** Has shadows look along, one from the beginning and one from the middle on, and checks each behind every event that it heard. */
function shadowed(events: readonly Event[], check: (state: AgentState, shadow: Shadow) => void): void {
  const from = Math.floor(events.length / 2);
  const whole = new Shadow(() => {}, "r");
  const half = new Shadow(() => {}, "r", fold(events.slice(0, from)));
  let state = initialState();
  for (const [index, event] of events.entries()) {
    whole.take(event);
    half.take(event);
    state = fold([event], state);
    check(state, whole);
    if (index >= from) check(state, half);
  }
}

describe("Stately's WebSocket protocol", () => {
  it("is what the official package says and its receiver reads, for the same run", async () => {
    const [ours, theirs] = [await bridge(), await bridge()];
    const our = webSocketInspector({ url: ours.url });
    const their = createWebSocketInspector({ url: theirs.url });
    await eventually(() => our.connected && theirs.clients() === 2);
    const { agent, log } = testAgent({
      ...golden(),
      inspect(event) {
        our.inspect(event);
        their.inspect.next?.(event);
      },
    });
    await agent.run("How warm is it?", { runId: "r" }).settled();
    const last = (seen: readonly StatelyInspectionEvent[]): boolean => {
      const end = seen.at(-1);
      return end?.type === "@xstate.snapshot" && end.event.type === "done";
    };
    await eventually(() => last(ours.received) && last(theirs.received));
    expect(ours.received.map(essence)).toEqual(theirs.received.map(essence));
    const control = (await stored(log, "r")).filter((event) => !isHot(event));
    const said = ours.received.flatMap((event) => (event.type === "@xstate.event" ? [event.event["seq"]] : []));
    for (const { seq } of control) expect(said).toContain(seq);
    await our.close();
    their.stop();
    await agent.close();
  });

  it("waits for a reader within its bound, tells one that comes later who is there, and closes", async () => {
    const clock = manualClock();
    const first = await bridge();
    await first.close();
    const inspector = webSocketInspector({ url: first.url, maxWaiting: 10, clock });
    const { agent } = testAgent({ ...golden(), inspect: inspector.inspect });
    const run = agent.run("How warm is it?", { runId: "r" });
    await run.settled();
    // The run, and its calls.
    const actors = 1 + run.state.toolCalls.size;
    expect(inspector.connected).toBe(false);
    expect(inspector.dropped).toBeGreaterThan(10);
    await eventually(() => clock.pending > 0);
    const second = await bridge(first.port);
    clock.advance(2_000);
    await eventually(() => inspector.connected && second.received.length >= actors + 10);
    expect(second.received[0]).toMatchObject({ type: "@xstate.actor", name: "r", snapshot: { value: "done" } });
    expect(second.received.slice(0, actors).every(({ type }) => type === "@xstate.actor")).toBe(true);
    expect(second.received).toHaveLength(actors + 10);
    await inspector.close();
    expect(clock.pending).toBe(0);
    await agent.close();
  });
});

it("R6: a context that is no JSON, or is none any more, is not shown, and throws nowhere", async () => {
  const clock = manualClock();
  const first = await bridge();
  await first.close();
  const inspector = webSocketInspector({ url: first.url, maxWaiting: 1, clock });
  const box: { big: unknown } = { big: 0 };
  const machine = createMachine({ context: { box }, initial: "a", states: { a: { on: { GO: "b" } }, b: {} } });
  createActor(machine, { inspect: inspector.inspect }).start();
  const other = createActor(machine, { id: "other", inspect: inspector.inspect });
  other.start();
  box.big = 1n;
  other.send({ type: "GO" });
  const { dropped } = inspector;
  await eventually(() => clock.pending > 0);
  const second = await bridge(first.port);
  clock.advance(2_000);
  await eventually(() => inspector.connected && second.received.length > 0);
  expect(other.getSnapshot().value).toBe("b");
  expect(inspector.dropped).toBeGreaterThan(dropped);
  await inspector.close();
});

it("tells who comes first of an actor whose first message had to go", async () => {
  const place = await bridge();
  const inspector = webSocketInspector({ url: place.url, maxWaiting: 10 });
  const log = memoryLog();
  const { agent } = testAgent({ ...golden(), log });
  await agent.run("How warm is it?", { runId: "r" }).settled();
  // Read faster than a socket opens.
  await inspectLog(log, "r", inspector.inspect);
  expect(inspector.connected).toBe(false);
  expect(inspector.dropped).toBeGreaterThan(0);
  await eventually(() => place.received.length >= 11);
  expect(place.received[0]).toMatchObject({ type: "@xstate.actor", name: "r" });
  await inspector.close();
  await agent.close();
});

it("refuses an address that no socket can have, where it is given and not later", () => {
  expect(() => webSocketInspector({ url: "ws://127.0.0.1:1/#there" })).toThrow(/"url" must be/);
});

it("Q1: keeps no process alive, also not where the other side never answers", async () => {
  const silent = createTcpServer(() => {});
  await new Promise<void>((resolve) => {
    silent.listen(0, "127.0.0.1", resolve);
  });
  const lines: Socket[] = [];
  silent.on("connection", (line) => {
    line.on("error", () => {});
    lines.push(line);
  });
  onTestFinished(() => {
    for (const line of lines) line.destroy();
    silent.close();
  });
  const { port } = addressOf(silent.address());
  const made = new URL("../../runtime/inspect/web-socket-inspector.ts", import.meta.url).href;
  const program = `const { webSocketInspector } = await import(${JSON.stringify(made)});
    webSocketInspector({ url: "ws://127.0.0.1:${port}" });
    await new Promise((resolve) => setTimeout(resolve, 300));`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program]);
  onTestFinished(() => void child.kill("SIGKILL"));
  const code = await new Promise((resolve) => child.on("exit", resolve));
  expect(code).toBe(0);
  expect(lines.length).toBe(1);
});

describe("inspection", () => {
  function collected() {
    const seen: InspectionEvent[] = [];
    /** What the actors of runs were told; their calls hear some of it as well. */
    const seqs = (): unknown[] =>
      seen.flatMap((event) =>
        event.type === "@xstate.event" && event.actorRef.sessionId === event.rootId && "seq" in event.event
          ? [event.event["seq"]]
          : [],
      );
    return { seen, seqs, inspector: { next: (event: InspectionEvent) => void seen.push(event) } };
  }

  it("is off by default, leaves hot events out, and has all of them where that is asked for", async () => {
    const plain = collected();
    const hot = collected();
    const log = memoryLog();
    const agent = createAgent({ name: "a", ...golden(), log, inspect: { inspector: hot.inspector, hot: true } });
    const stop = inspectAgent(agent, plain.inspector);
    await agent.run("How warm is it?", { runId: "r" }).settled();
    stop();
    const events = await stored(log, "r");
    expect(hot.seqs()).toEqual(events.map(({ seq }) => seq));
    const control = events.filter((event) => !isHot(event));
    const deltas = plain.seqs().filter((seq) => !control.some((event) => event.seq === seq));
    expect(deltas).toHaveLength(events.filter(({ type }) => type === "thinking").length);
    expect(plain.seqs()).toHaveLength(control.length + deltas.length);
    const again = collected();
    await inspectLog(log, "r", again.inspector);
    expect(again.seqs()).toEqual(plain.seqs());
    await agent.close();
  });

  it("P33: ends with its undo, in the middle of an answer too", async () => {
    const hot = collected();
    const { agent } = testAgent(golden());
    const stop = inspectAgent(agent, { inspector: hot.inspector, hot: true });
    const run = agent.run("How warm is it?", { runId: "r" });
    run.subscribe("message", stop);
    await run.settled();
    const listeners = run.stats().subscribers.length;
    const { length } = hot.seen;
    await run.send("and now?");
    await run.settled();
    expect(listeners).toBe(1);
    expect(hot.seen).toHaveLength(length);
    await agent.close();
  });

  it("R6: one that throws changes nothing, and is told the rest", async () => {
    let told = 0;
    const { agent } = testAgent({
      ...golden(),
      inspect() {
        told++;
        throw new Error("broken");
      },
    });
    expect((await agent.run("How warm is it?").settled()).status).toBe("done");
    expect(told).toBeGreaterThan(20);
    await agent.close();
    expect(() => testAgent({ model: scriptedModel([]), inspect: JSON.parse("{}") })).toThrow(/XState inspector/);
  });

  it("the shadow stands where the run stands, at every event, also where it begins in the middle", async () => {
    for (const events of await recordedLogs()) {
      shadowed(events, ({ value }, shadow) => {
        expect(shadow.value).toBe(value);
      });
    }
  });

  it("prints nothing about what is noted once the run is over for good", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { agent, log } = testAgent({ model: scriptedModel([["half ", pause(), "way"]]), inspect() {} });
    const run = agent.run("say", { runId: "r" });
    await until(run, "token_stream");
    await run.cancel("enough");
    run.background("beside", () => Promise.reject(new Error("what nobody should read on a console")));
    await until(run, "error");
    expect((await stored(log, "r")).slice(-2)).toMatchObject([{ type: "cancelled" }, { type: "error" }]);
    await inspectLog(log, "r", () => {});
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
    await agent.close();
  });
});

describe("H1: calls are actors of their own", () => {
  /** What an inspector learns of the calls: by name, its parent and where it went. */
  function callsIn(seen: readonly InspectionEvent[]) {
    const calls = new Map<string, { readonly id: string; readonly root: boolean; readonly path: string[] }>();
    for (const event of seen) {
      const { actorRef, rootId } = event;
      if (actorRef.sessionId === rootId || !("id" in actorRef)) continue;
      const parent = "_parent" in actorRef ? actorRef._parent : undefined;
      const isChild = typeof parent === "object" && parent !== null && "sessionId" in parent;
      const known = calls.get(actorRef.sessionId);
      const call = known ?? { id: String(actorRef.id), root: isChild && parent.sessionId === rootId, path: [] };
      calls.set(actorRef.sessionId, call);
      if (event.type === "@xstate.snapshot" && "value" in event.snapshot) call.path.push(String(event.snapshot.value));
    }
    return [...calls.values()];
  }

  const pay = defineTool({
    name: "pay",
    description: "",
    input: z.object({ n: z.number() }),
    approval: ({ n }) => n === 1,
    execute({ n }) {
      if (n === 2) throw new Error("no");
      return n;
    },
  });
  const model = () =>
    scriptedModel([{ calls: [0, 1, 2].map((n) => ({ name: "pay", args: { n } })) }, ["fine"], ["and on"]]);

  it("children of the run's, from their message to their outcome; live and replayed alike", async () => {
    const seen: InspectionEvent[] = [];
    const { agent, log } = testAgent({ model: model(), tools: [pay], inspect: (event) => seen.push(event) });
    const run = agent.run("pay", { runId: "r" });
    await until(run, "approval_request");
    await run.approve("1.1");
    await run.settled();
    await agent.close();
    const calls = callsIn(seen);
    expect(calls.map(({ id, root }) => [id, root])).toEqual([
      ["1.0", true],
      ["1.1", true],
      ["1.2", true],
    ]);
    const steps = calls.map(({ path }) => [...new Set(path)]);
    expect(steps).toEqual([
      ["streaming", "complete", "ready", "running", "ok"],
      ["streaming", "complete", "awaiting_approval", "ready", "running", "ok"],
      ["streaming", "complete", "ready", "running", "error"],
    ]);
    const again: InspectionEvent[] = [];
    await inspectLog(log, "r", (event) => again.push(event));
    expect(callsIn(again)).toEqual(calls);
  });

  it("stand where the calls of the run stand, at every event, also where it begins in the middle, and end with them", async () => {
    const logs = [...(await recordedLogs()), await orphaned()];
    const phases = new Set<string>();
    for (const events of logs) {
      shadowed(events, ({ core }, shadow) => {
        const open = core.calls.filter(({ outcome }) => outcome === undefined);
        const expected = new Map(open.map(({ callId, phase }) => [callId, phase]));
        for (const phase of expected.values()) phases.add(phase);
        expect(shadow.openCalls).toEqual(expected);
      });
    }
    expect([...phases].sort()).toEqual(["complete", "orphaned", "ready", "running"]);
  });

  /** A call whose process died, and that a person settled. */
  async function orphaned(): Promise<readonly Event[]> {
    const hang = defineTool({
      name: "hang",
      description: "",
      input: z.object({}),
      onCrash: "ask",
      execute: () => new Promise(() => {}),
    });
    const script = () => scriptedModel([{ calls: [{ name: "hang", args: {} }] }, ["fine"]]);
    const first = testAgent({ model: script(), tools: [hang], graceMs: 0 });
    const run = first.agent.run("go", { runId: "r" });
    await until(run, "tool_start");
    const copy = await leftBehind(await stored(first.log, "r"));
    const second = testAgent({ model: scriptedModel([["fine"]]), tools: [hang], log: copy });
    const answer = await second.agent.resume("r");
    if (!answer.accepted) throw new Error(answer.reason);
    await answer.run.settled();
    await answer.run.settleCall("1.0", { output: "found out" });
    await answer.run.resume();
    await answer.run.settled();
    await second.agent.close();
    // Its tool ignores that it is to stop.
    let closed = false;
    const closing = first.agent.close().then(() => {
      closed = true;
    });
    await eventually(() => {
      first.clock.advance(10_000);
      return closed;
    });
    await closing;
    return stored(copy, "r");
  }

  it("are made for an inspector alone", async () => {
    const seen: InspectionEvent[] = [];
    const { agent } = testAgent({ model: model(), tools: [pay] });
    const stop = inspectAgent(agent, (event) => seen.push(event));
    stop();
    const run = agent.run("pay", { runId: "r" });
    await until(run, "approval_request");
    expect(seen).toEqual([]);
    // Who attaches later sees the calls that are open then.
    inspectAgent(agent, (event) => seen.push(event));
    await run.approve("1.1");
    await run.settled();
    expect(callsIn(seen).map(({ id, path }) => [id, path.at(-1)])).toEqual([["1.1", "ok"]]);
    await agent.close();
  });
});

it("I19: what waits for a socket that never reads is bounded; once it reads it is told who is there, and close ends it in time", async () => {
  const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
  });
  const types: string[] = [];
  let resume = (): void => {};
  sockets.on("connection", (socket) => {
    socket.pause();
    resume = () => {
      socket.resume();
    };
    socket.on("message", (data: Buffer) => {
      const { type } = z.looseObject({ type: z.string() }).parse(JSON.parse(data.toString()));
      types.push(type);
    });
  });
  await new Promise((resolve) => sockets.on("listening", resolve));
  const place = sockets.address();
  if (place === null || typeof place === "string") throw new Error("it listens");
  const inspector = webSocketInspector({ url: `ws://127.0.0.1:${place.port}` });
  await eventually(() => inspector.connected);
  const actor = createActor(createMachine({ id: "loud" }), { inspect: inspector.inspect });
  actor.start();
  const text = "x".repeat(500_000);
  // What the system holds for a reader is beyond us: a few MB.
  for (let told = 0; told < 400; told++) {
    actor.send({ type: "loud", text });
    // Lets the line take what it can.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { dropped } = inspector;
  expect(dropped).toBeGreaterThan(100);
  resume();
  await eventually(() => {
    actor.send({ type: "quiet" });
    return types.filter((type) => type === "@xstate.actor").length === 2;
  });
  await inspector.close();
  expect(sockets.clients.size).toBe(0);
});

it.for([
  ["agent", agentMachine],
  ["tool call", toolCallMachine],
] as const)("the JSON of the %s chart is the whole chart: it draws the same in Stately's editor", ([, machine]) => {
  const copy = createMachine(JSON.parse(JSON.stringify(machine.config)));
  expect(toMermaid(copy)).toBe(toMermaid(machine));
  expect(JSON.parse(JSON.stringify(copy.definition))).toEqual(JSON.parse(JSON.stringify(machine.definition)));
});
