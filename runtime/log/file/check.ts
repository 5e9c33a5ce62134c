import { closeSync } from "node:fs";
import { join } from "node:path";
import { messageOf, RubatoError } from "../../errors.ts";
import type { LogProblem } from "../event-log.ts";
import { crcText } from "./crc.ts";
import type { Owners } from "./owners.ts";
import type { OwnEnd } from "./pages.ts";
import type { SegmentReader } from "./reader.ts";
import { segmentName } from "./segment.ts";

export interface CheckOptions {
  readonly runId: string;
  readonly folder: string;
  readonly reader: SegmentReader;
  readonly owners: Owners;
  readonly own: OwnEnd | undefined;
}

/** Every line of every segment, the hash chain through all of them, and what each header says of the segment before it. */
export function checkRun({ runId, folder, reader, owners, own }: CheckOptions): LogProblem | undefined {
  let seq = 0;
  let file = folder;
  let before: { readonly file: string; readonly h: string; readonly c: string } | undefined;
  try {
    const epochs = owners.settle(runId, folder);
    for (const [at, epoch] of epochs.entries()) {
      file = join(folder, segmentName(epoch));
      const { segment, fd } = reader.open(runId, folder, epoch);
      try {
        const { header } = segment;
        if (header.after !== seq) return { seq: seq + 1, file, problem: `it begins behind seq ${header.after}` };
        if (before !== undefined && (before.h !== header.before.h || before.c !== header.before.c)) {
          return { seq, file: before.file, problem: "it does not end as the next segment says" };
        }
        const next = epochs[at + 1];
        const until = next === undefined ? undefined : afterOf(next);
        const bound = own?.epoch === epoch ? own.durable : undefined;
        const { end, chain } = reader.verify(runId, { segment, fd, until, bound });
        if (end.damage !== undefined) return { seq: end.damage.seq, problem: end.damage.what, file };
        seq = end.complete.seq;
        before = { file, h: chain.end(), c: crcText(end.complete.crc) };
      } finally {
        closeSync(fd);
      }
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof RubatoError)) throw error;
    return { seq: seq + 1, file, problem: messageOf(error) };
  }

  function afterOf(epoch: number): number {
    const { segment, fd } = reader.open(runId, folder, epoch);
    closeSync(fd);
    return segment.header.after;
  }
}
