import { beforeEach, describe, expect, it, vi } from "vitest";
import { hashOf, placeOf } from "../../../runtime/inspect/page/model/place.ts";
import { goToPlace, placeShown } from "../../../runtime/inspect/page/view/address.ts";
import type { Connection, Follow } from "../../../runtime/inspect/page/view/connection.ts";
import { Opener } from "../../../runtime/inspect/page/view/opener.ts";
import { Session } from "../../../runtime/inspect/page/view/session.ts";
import { golden, textOf } from "./golden.ts";

beforeEach(() => {
  // Nobody draws here.
  vi.stubGlobal("requestAnimationFrame", () => 0);
  return () => {
    vi.unstubAllGlobals();
  };
});

/** A page over a server whose every run is the same. */
function opened(): { session: Session; opener: Opener; connection: Connection; asked: string[] } {
  const asked: string[] = [];
  const connection: Connection = {
    runs: async () => [],
    headOf: async () => undefined,
    follow(runId, follow: Follow) {
      asked.push(runId);
      follow.onEvents(golden("plain").map((event) => ({ ...event, runId })));
      return () => {};
    },
    command: async () => ({ kind: "refused", reason: "no", message: undefined }),
  };
  const session = new Session();
  const opener = new Opener(session, textOf("sample"));
  return { session, opener, connection, asked };
}

describe("the place in the address", () => {
  it("is what can be opened again: a run, the sample, the file of a server, and nothing of a file that was dropped", async () => {
    const { session, opener, connection } = opened();
    expect(placeShown(session)).toEqual({});
    opener.openRun(connection, "one", 5);
    expect(hashOf(placeShown(session))).toBe("#run=one&seq=5");
    await opener.openSample(40);
    expect(hashOf(placeShown(session))).toBe("#sample=1&seq=40");
    expect(placeOf("#sample=1&seq=40")).toEqual({ sample: true, seq: 40 });
    await opener.openFile(new File([textOf("plain")], "plain.jsonl"));
    expect(hashOf(placeShown(session))).toBe("");
    session.served = "plain.jsonl";
    expect(hashOf(placeShown(session))).toBe("#run=r&file=plain.jsonl");
  });

  it("is gone to when it is typed, followed, or gone back to", async () => {
    const { session, opener, connection, asked } = opened();
    opener.openRun(connection, "one");
    expect(goToPlace(session, opener, placeOf("#run=one&seq=7"))).toBe(true);
    expect([asked, session.seq]).toEqual([["one"], 7]);
    expect(goToPlace(session, opener, placeOf("#run=one"))).toBe(true);
    expect([asked, session.seq, session.following]).toEqual([["one"], golden("plain").length, true]);
    expect(goToPlace(session, opener, placeOf("#run=two&seq=4"))).toBe(true);
    expect([asked, session.title, session.seq]).toEqual([["one", "two"], "two", 4]);
    expect(goToPlace(session, opener, placeOf("#sample=1&seq=9"))).toBe(true);
    await vi.waitFor(() => {
      expect([session.origin, session.seq]).toEqual(["sample", 9]);
    });
    expect(goToPlace(session, opener, placeOf("#run=two&seq=6"))).toBe(true);
    expect([asked, session.seq]).toEqual([["one", "two", "two"], 6]);
    // Nothing is named: what is open stays.
    expect(goToPlace(session, opener, placeOf(""))).toBe(true);
    expect([session.title, session.seq]).toEqual(["two", 6]);
  });

  it("is not gone to here where it needs another server, file or token", () => {
    const { session, opener } = opened();
    for (const hash of ["#run=one", "#file=a.jsonl", "#run=one&token=t"]) {
      expect(goToPlace(session, opener, placeOf(hash)), hash).toBe(false);
    }
  });
});
