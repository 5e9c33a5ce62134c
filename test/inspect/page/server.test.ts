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

describe("a server without a list of runs", () => {
  const broken = new Error("It is broken.");

  it("says why, and what is named in the address stays there to be asked for again", async () => {
    const named = overServer({ token: "", broken });
    expect(await named.server.open(undefined, { run: "r" })).toMatchObject({ opened: true });
    expect(named.session.notice?.text).toMatch(/no list of runs: It is broken\. Load the page again/);
    const other = overServer({ token: "", broken });
    expect(await other.server.open(undefined, { run: undefined })).toEqual({
      opened: false,
      why: "The server has no list of runs: It is broken.",
    });
    expect([other.session.asking, other.session.asksToken]).toEqual([false, undefined]);
  });
});
