import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Connection, Follow } from "../../../runtime/inspect/page/view/connection.ts";
import { Opener } from "../../../runtime/inspect/page/view/opener.ts";
import { Session } from "../../../runtime/inspect/page/view/session.ts";
import { Side } from "../../../runtime/inspect/page/view/side.ts";
import { golden, textOf } from "./golden.ts";

beforeEach(() => {
  // Nobody draws here.
  vi.stubGlobal("requestAnimationFrame", () => 0);
  return () => {
    vi.unstubAllGlobals();
  };
});

/** A server whose streams the test moves by hand. */
function byHand(): {
  connection: Connection;
  follows: Map<string, Follow>;
  left: string[];
  heads: Map<string, number>;
} {
  const follows = new Map<string, Follow>();
  const left: string[] = [];
  const heads = new Map<string, number>();
  const connection: Connection = {
    runs: async () => [],
    headOf: async (runId) => heads.get(runId),
    follow(runId, follow) {
      follows.set(runId, follow);
      return () => {
        if (follows.delete(runId)) left.push(runId);
      };
    },
    command: async () => ({ kind: "refused", reason: "no", message: undefined }),
  };
  return { connection, follows, left, heads };
}

function runsOf(...heads: readonly (readonly [runId: string, seq: number])[]): Session["runs"] {
  return heads.map(([runId, seq]) => ({ runId, title: "", status: "done", seq }));
}

describe("two branches side by side", () => {
  it("end the other's stream at once when it is closed, and when something else is opened", () => {
    const session = new Session();
    const opener = new Opener(session, "");
    const { connection, left } = byHand();
    opener.openRun(connection, "one");
    opener.openBeside(connection, "two");
    opener.closeBeside();
    expect(left).toEqual(["two"]);
    expect(session.other).toBeUndefined();
    opener.openBeside(connection, "three");
    opener.openBeside(connection, "four");
    expect(left).toEqual(["two", "three"]);
    opener.openRun(connection, "five");
    expect(left).toEqual(["two", "three", "one", "four"]);
  });
});

describe("what is said", () => {
  const events = golden("plain").map((event) => ({ ...event, runId: "r" }));

  it("of the line goes when that is open again; what was said of something else stays, whatever comes from the server", () => {
    const session = new Session();
    const { connection, follows } = byHand();
    new Opener(session, "").openRun(connection, "r");
    const follow = follows.get("r");
    follow?.onEvents(events);
    session.say("r.jsonl could not be written.");
    // As often as events or heartbeats come.
    follow?.onLine("open");
    expect(session.notice?.text).toBe("r.jsonl could not be written.");
    follow?.onLine("lost", "The server does not answer.");
    expect(session.notice?.text).toBe("The server does not answer.");
    follow?.onLine("open");
    expect(session.notice).toBeUndefined();
  });

  it("of the other branch stands with that branch: its line, and a file without events", async () => {
    const session = new Session();
    const { connection, follows } = byHand();
    const opener = new Opener(session, "");
    opener.openRun(connection, "r");
    opener.openBeside(connection, "two");
    follows.get("two")?.onLine("ended", 'There is no run "two" here.');
    expect(session.other).toMatchObject({ title: "two", line: "ended", trouble: 'There is no run "two" here.' });
    follows.get("two")?.onLine("open");
    expect(session.other).toMatchObject({ line: "open", trouble: undefined });
    expect([session.line, session.notice]).toEqual(["none", undefined]);
    await opener.openFileBeside(new File([""], "empty.jsonl"));
    expect(session.other).toMatchObject({ title: "empty.jsonl", trouble: '"empty.jsonl" holds no events.' });
    expect(session.notice).toBeUndefined();
  });

  it("of a file that loads beside a run ends with that file: what is closed is not loading any more", async () => {
    const session = new Session();
    const { connection } = byHand();
    const opener = new Opener(session, "");
    opener.openRun(connection, "r");
    expect(session.loading).toMatchObject({ what: "r", side: session.main });
    const loading = opener.openFileBeside(new File([textOf("plain")], "plain.jsonl"));
    expect(session.loading).toMatchObject({ what: "plain.jsonl", side: session.other });
    opener.closeBeside();
    expect(session.loading).toBeUndefined();
    await loading;
    expect(session.loading).toBeUndefined();
  });
});

describe("a seq in the address", () => {
  const events = golden("plain").map((event) => ({ ...event, runId: "r" }));
  const head = events.length;

  it("is shown once it has come, and what is behind the head is said, with the head", () => {
    for (const [wanted, seq, following, said] of [
      [7, 7, false, undefined],
      [head, head, true, undefined],
      [head + 60, head, true, `There is no seq ${head + 60} in it: its end is shown, seq ${head}.`],
    ] as const) {
      const session = new Session();
      const { connection, follows } = byHand();
      session.runs = runsOf(["r", head]);
      new Opener(session, "", wanted).openRun(connection, "r");
      follows.get("r")?.onEvents(events.slice(0, 5));
      // More is known to come.
      expect([session.seq, session.notice, session.loading?.part]).toEqual([0, undefined, 5 / head]);
      follows.get("r")?.onEvents(events.slice(5));
      expect([session.seq, session.following, session.notice?.text]).toEqual([seq, following, said]);
      expect(session.loading).toBeUndefined();
    }
  });

  it("is waited for also of a run that is not in the list: an older one", async () => {
    const session = new Session();
    const { connection, follows, heads } = byHand();
    heads.set("r", head);
    new Opener(session, "", head - 2).openRun(connection, "r");
    follows.get("r")?.onEvents(events.slice(0, 5));
    expect([session.seq, session.notice, session.wanted, session.loading?.what]).toEqual([0, undefined, head - 2, "r"]);
    await connection.headOf("r");
    expect([session.notice, session.wanted, session.loading?.part]).toEqual([undefined, head - 2, 5 / head]);
    follows.get("r")?.onEvents(events.slice(5));
    expect([session.seq, session.following, session.loading]).toEqual([head - 2, false, undefined]);
    // Where nobody says how long it is, what came is what there is.
    heads.delete("r");
    const other = new Session();
    new Opener(other, "", 999).openRun(connection, "r");
    follows.get("r")?.onEvents(events);
    await connection.headOf("r");
    expect([other.seq, other.notice?.text]).toEqual([
      head,
      `There is no seq 999 in it: its end is shown, seq ${head}.`,
    ]);
  });

  it("is of what is opened first, not of what comes later", () => {
    const session = new Session();
    const { connection, follows } = byHand();
    const opener = new Opener(session, "", 4);
    opener.openRun(connection, "r");
    follows.get("r")?.onEvents(events);
    expect(session.seq).toBe(4);
    opener.openRun(connection, "r");
    follows.get("r")?.onEvents(events);
    expect(session.seq).toBe(head);
  });

  it("behind the end of a file is said too; whoever moved meanwhile stays where they are", async () => {
    const session = new Session();
    await new Opener(session, textOf("plain"), 999).openSample();
    expect([session.seq, session.notice?.text]).toEqual([
      head,
      `There is no seq 999 in it: its end is shown, seq ${head}.`,
    ]);
    const moved = new Session();
    const loading = new Opener(moved, textOf("plain"), 999).openSample();
    moved.wanted = undefined;
    moved.following = false;
    await loading;
    expect([moved.seq, moved.notice]).toEqual([0, undefined]);
  });
});

describe("a live run that is longer than the page can hold", () => {
  it("forgets its first lines, and every place moves with those that stay", () => {
    const events = golden("sample");
    const session = new Session();
    const opener = new Opener(session, "");
    const { connection, follows } = byHand();
    opener.openRun(connection, "sample");
    session.main = new Side({ lines: 60, weight: Number.MAX_SAFE_INTEGER });
    // The same way as that of the page's own sides, whose bounds no test reaches.
    for (const event of events) {
      session.main.add(event);
      if (session.main.recording.isFull) session.makeRoom(session.main);
      session.grown();
    }
    const { recording, lanes } = session.main;
    expect(follows.has("sample")).toBe(true);
    expect(recording.length).toBeLessThan(60);
    expect(session.seq).toBe(events.length);
    session.look({ text: "", types: new Set(["token_stream"]) });
    session.goTo(recording.firstSeq + 2);
    expect(session.following).toBe(false);
    session.window = { from: 40, to: 45 };
    const seen = recording.entries[40]?.seq;
    for (let seq = events.length + 1; recording.dropped + recording.length - events.length < 30; seq++) {
      session.main.add({ ...events[0], seq, type: "custom", data: { name: "more", data: seq } });
      if (recording.isFull) session.makeRoom(session.main);
      session.grown();
    }
    const moved = recording.indexOf(seen ?? 0);
    expect(moved).toBeLessThan(40);
    expect(moved).toBeGreaterThan(0);
    expect(session.window).toEqual({ from: moved, to: moved + 5 });
    // The moment was forgotten: the first that is kept is shown, and nothing before it.
    expect(session.seq).toBe(recording.firstSeq);
    session.goTo(0);
    expect(session.seq).toBe(recording.firstSeq);
    expect(session.matches).toEqual(
      recording.entries.flatMap(({ type }, index) => (type === "token_stream" ? [index] : [])),
    );
    expect(lanes.length).toBe(recording.length);
  });

  it("by the weight of its events, as they come from a server; its state is whole", () => {
    const session = new Session();
    const { connection, follows } = byHand();
    new Opener(session, "").openRun(connection, "r");
    const events = golden("plain").map((event) => ({ ...event, runId: "r" }));
    const thinking = events.findIndex(({ type }) => type === "thinking") + 1;
    const text = "x".repeat(32 * 1_048_576);
    const follow = follows.get("r");
    follow?.onEvents(events.slice(0, thinking));
    for (let seq = thinking + 1; seq < thinking + 25; seq++) {
      follow?.onEvents([{ ...events[0], seq, type: "custom", data: { name: "big", data: text } }]);
    }
    const { recording } = session.main;
    expect(recording.dropped).toBeGreaterThan(5);
    expect(recording.problem).toBeUndefined();
    expect([session.seq, recording.latest.seq]).toEqual([thinking + 24, thinking + 24]);
    expect(recording.latest.messages).toMatchObject([{ role: "user" }]);
    expect(recording.latest.value).toBe("thinking.requesting");
  });
});

describe("search", () => {
  it("is walked through, one by one and in tens, and never past its ends", () => {
    const session = new Session();
    for (const event of golden("sample")) session.main.add(event);
    session.look({ text: "", types: new Set(["token_stream"]) });
    const found = session.matches ?? [];
    expect(found.length).toBeGreaterThan(25);
    session.goTo(0);
    const walked = [1, 1, 10, 10, -1, -10, -10, -1, -10].map((by) => {
      session.move(by);
      return found.indexOf(session.index);
    });
    expect(walked).toEqual([0, 1, 11, 21, 20, 10, 0, 0, 0]);
    // From between two of them.
    session.goToIndex((found[0] ?? 0) - 1);
    session.move(10);
    expect(found.indexOf(session.index)).toBe(9);
    session.goTo(session.endSeq);
    session.move(10);
    expect(session.seq).toBe(session.endSeq);
  });

  it("goes on by itself where it is long, and finds all", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => (now += 15));
    const session = new Session();
    for (const event of golden("sample")) session.main.add(event);
    session.look({ text: "", types: new Set(["token_stream"]) });
    expect(session.isSearching).toBe(true);
    while (session.isSearching) vi.advanceTimersByTime(1);
    const all = golden("sample").flatMap(({ type }, index) => (type === "token_stream" ? [index] : []));
    expect(session.matches).toEqual(all);
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
});

describe("a file that is dropped", () => {
  const log = (name: string): File => new File([textOf(name)], `${name}.jsonl`);

  it.for<[name: string, file: () => File, said: RegExp]>([
    ["an empty one", () => new File([], "empty.jsonl"), /"empty.jsonl" holds no events: .* What was open stays\.$/],
    ["a letter", () => new File(["hello,\nworld\n"], "letter.txt"), /holds no events \(line 1 is no JSON\)/],
    ["other JSON", () => new File(['{"name":"rubato"}\n'], "package.json"), /holds no events/],
    ["bytes", () => new File([Uint8Array.from({ length: 90_000 }, (_none, at) => at * 37)], "x.bin"), /no events/],
    ["no file", folder, /"folder" cannot be read: it is a folder, or it is gone\. What was open stays\.$/],
  ])("and is no log leaves open what is: %s", async ([, file, said]) => {
    const session = new Session();
    const { connection, follows, left } = byHand();
    const opener = new Opener(session, "");
    opener.openRun(connection, "r");
    follows.get("r")?.onEvents(golden("plain"));
    await opener.openDropped([file()]);
    expect(session.notice?.text).toMatch(said);
    expect([session.origin, session.main.recording.length, left]).toEqual(["run", golden("plain").length, []]);
  });

  it("and is a log is opened, also one whose first line is longer than what is looked at before", async () => {
    const session = new Session();
    const opener = new Opener(session, "");
    await opener.openDropped([log("plain")]);
    expect([session.title, session.main.recording.endSeq]).toEqual(["plain.jsonl", golden("plain").length]);
    const [start] = golden("plain");
    const long = { ...start, data: { ...start?.data, metadata: { text: "x".repeat(100_000) } } };
    await opener.openDropped([new File([JSON.stringify(long)], "long.jsonl")]);
    expect([session.title, session.main.recording.length]).toEqual(["long.jsonl", 1]);
  });

  it("with another one stands beside that, and what is more is said", async () => {
    const session = new Session();
    const opener = new Opener(session, "");
    await opener.openDropped([log("plain"), log("redirect")]);
    expect([session.main, session.other].map((side) => side?.recording.endSeq)).toEqual([
      golden("plain").length,
      golden("redirect").length,
    ]);
    expect(session.notice).toBeUndefined();
    await opener.openDropped([log("plain"), log("redirect"), log("limit")]);
    expect(session.notice?.text).toBe("Two files stand side by side; 1 more were left out.");
  });

  it("gives way to what is opened while it is looked at", async () => {
    const session = new Session();
    const { connection } = byHand();
    const opener = new Opener(session, "");
    const dropped = opener.openFile(log("plain"));
    opener.openRun(connection, "r");
    await dropped;
    expect(session.origin).toBe("run");
  });

  /** As a browser hands one over. */
  function folder(): File {
    const file = new File([], "folder");
    const unreadable = { text: () => Promise.reject(new Error("A requested file or directory could not be found")) };
    return Object.assign(file, { slice: () => Object.assign(new Blob(), unreadable) });
  }
});
