import { beforeEach, describe, expect, it, vi } from "vitest";
import { RubatoError } from "rubato";
import type { Connection, Follow } from "../../../runtime/inspect/page/view/connection.ts";
import { Opener } from "../../../runtime/inspect/page/view/opener.ts";
import { Server } from "../../../runtime/inspect/page/view/server.ts";
import { Session } from "../../../runtime/inspect/page/view/session.ts";
import { golden } from "./golden.ts";

beforeEach(() => {
  // Nobody draws here.
  vi.stubGlobal("requestAnimationFrame", () => 0);
  vi.stubGlobal("document", { hidden: false });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  return () => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  };
});

/** A page over a server that takes one token, which the test changes. */
function overServer(wanted: { token: string; broken?: Error }) {
  const follows: Follow[] = [];
  const connect = (token: string | undefined): Connection => ({
    async runs() {
      if (wanted.broken !== undefined) throw wanted.broken;
      if (token !== wanted.token) throw new RubatoError("unauthorized", "This server needs its token.");
      return [{ runId: "r", title: "", status: "done", seq: golden("plain").length }];
    },
    headOf: async () => undefined,
    follow(_runId, follow) {
      follows.push(follow);
      return () => {};
    },
    command: async () => ({ kind: "refused", reason: "no", message: undefined }),
  });
  const session = new Session();
  const server = new Server(session, new Opener(session, ""), connect);
  return { session, server, follows };
}

const events = golden("plain").map((event) => ({ ...event, runId: "r" }));

async function asks(session: Session): Promise<NonNullable<Session["asksToken"]>> {
  const before = session.asksToken;
  await vi.waitFor(() => {
    expect(session.asksToken).toBeDefined();
    expect(session.asksToken).not.toBe(before);
  });
  if (session.asksToken === undefined) throw new Error("It asks for no token.");
  return session.asksToken;
}

describe("a server that wants a token", () => {
  it("is given one, and it is said where it does not take that", async () => {
    const { session, server, follows } = overServer({ token: "right" });
    const opening = server.open(undefined, { run: undefined });
    const first = await asks(session);
    expect(first.refused).toBe(false);
    first.take("wrong");
    const second = await asks(session);
    expect(second.refused).toBe(true);
    second.take("right");
    expect(await opening).toEqual({ opened: true });
    expect([session.asksToken, session.asking, session.title, follows.length]).toEqual([undefined, false, "r", 1]);
  });

  it("and was begun anew with another is asked again: what is open stays, and goes on where it stood", async () => {
    const wanted = { token: "old" };
    const { session, server, follows } = overServer(wanted);
    await server.open("old", { run: "r" });
    follows[0]?.onLine("open");
    follows[0]?.onEvents(events);
    session.goTo(7);
    wanted.token = "new";
    follows[0]?.onLine("ended", "The server does not take the token any more.");
    vi.advanceTimersByTime(5_000);
    const asked = await asks(session);
    expect([asked.refused, session.main.recording.length]).toEqual([true, events.length]);
    asked.take("new");
    await vi.waitFor(() => {
      expect(follows.length).toBe(2);
    });
    follows[1]?.onEvents(events);
    expect([session.title, session.seq, session.asksToken]).toEqual(["r", 7, undefined]);
  });
});

describe("a server that has no list of runs", () => {
  it.for([
    ["disconnected", undefined],
    ["internal", undefined],
    ["refused", "r"],
  ] as const)("for now is asked again, and it is said meanwhile: %s", async ([code, run]) => {
    const wanted: { token: string; broken?: Error } = { token: "t", broken: new RubatoError(code, "Gone.") };
    const { session, server, follows } = overServer(wanted);
    const opening = server.open("t", { run });
    await vi.waitFor(() => {
      expect(session.notice?.text).toBe("Gone. The server is asked again for its runs.");
    });
    expect([session.asking, follows.length]).toEqual([false, 0]);
    delete wanted.broken;
    vi.advanceTimersByTime(5_000);
    expect(await opening).toEqual({ opened: true });
    expect([session.notice, session.title, follows.length]).toEqual([undefined, "r", 1]);
  });

  it("for now leaves open what somebody opened meanwhile", async () => {
    const { session, server, follows } = overServer({ token: "t", broken: new RubatoError("disconnected", "Gone.") });
    const opening = server.open("t", { run: "r" });
    await vi.waitFor(() => {
      expect(session.notice).toBeDefined();
    });
    session.reset("file", "a.jsonl");
    vi.advanceTimersByTime(5_000);
    expect(await opening).toEqual({ opened: true });
    expect([session.title, follows.length]).toEqual(["a.jsonl", 0]);
  });

  it("at all is not asked again: why is said", async () => {
    const { session, server } = overServer({ token: "t", broken: new Error("It is something else.") });
    const why = "The server has no list of runs: It is something else.";
    expect(await server.open("t", { run: undefined })).toEqual({ opened: false, why });
    expect([session.asking, session.asksToken]).toEqual([false, undefined]);
  });
});
