import { expect, it } from "vitest";
import type { Event } from "rubato";
import { fileLog } from "../../runtime/log/file.ts";
import { runLister } from "../../runtime/log/file/list.ts";
import { owners as openOwners } from "../../runtime/log/file/owners.ts";
import { pages } from "../../runtime/log/file/pages.ts";
import { segmentReader } from "../../runtime/log/file/reader.ts";
import { events } from "../contracts/log-fixture.ts";
import { newFolder } from "./file-fixture.ts";

it("a list that is asked for again reads only the runs that changed, and sees all that did", async () => {
  const folder = newFolder();
  const log = fileLog(folder);
  for (const runId of ["a", "b", "c"]) await log.append(runId, { epoch: 1, events: events(runId, 1, 3) });
  const reader = segmentReader();
  const owners = openOwners(reader, Date.now);
  const options = { root: folder, reader, owners, ownEnd: () => undefined };
  const real = pages({ ...options, power: false });
  const looked: string[] = [];
  const list = runLister({
    ...options,
    read(runId, range) {
      looked.push(runId);
      return real.read(runId, range);
    },
  });
  const first = list(undefined);
  expect(first.map(({ runId, seq, owned }) => [runId, seq, owned])).toEqual([
    ["a", 3, true],
    ["b", 3, true],
    ["c", 3, true],
  ]);
  expect(looked.splice(0)).toEqual(["a", "b", "c"]);
  expect(list(undefined)).toEqual(first);
  expect(looked).toEqual([]);

  await log.append("b", { epoch: 1, events: events("b", 4, 5) });
  await log.delete("c");
  await log.append("c", { epoch: 1, events: events("c", 1, 2) });
  await log.release("a", 1);
  expect(list(undefined).map(({ runId, seq, owned }) => [runId, seq, owned])).toEqual([
    ["a", 3, false],
    ["b", 5, true],
    ["c", 2, true],
  ]);
  expect(looked.splice(0).sort()).toEqual(["a", "b", "c"]);
  expect(await log.claim("a")).toMatchObject({ claimed: true, epoch: 2 });
  expect(list(undefined)[0]).toMatchObject({ runId: "a", seq: 3, owned: true });
  await log.close?.();
});

it("tells a status however much that decides nothing comes after it", async () => {
  const log = fileLog(newFolder());
  await log.append("r", { epoch: 1, events: events("r", 1, 2) });
  const thinking: Event = {
    seq: 3,
    timestamp: 7,
    runId: "r",
    type: "thinking",
    data: { step: 1, attempt: 1, messageId: "m1", model: "m" },
  };
  await log.append("r", { epoch: 1, events: [thinking] });
  for (let seq = 4; seq < 54; seq++) {
    const data = { name: "large", data: "x".repeat(100_000) };
    await log.append("r", { epoch: 1, events: [{ seq, timestamp: seq + 10, runId: "r", type: "custom", data }] });
  }
  expect(await log.list()).toMatchObject([{ status: "thinking", seq: 53, updatedAt: 63 }]);
  await log.close?.();
});
