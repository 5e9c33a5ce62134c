import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileLog, type Event } from "rubato";
import { rate } from "../support/format.ts";
import { compare, interleave, timed } from "../support/interleave.ts";
import { expect, type Row } from "../support/row.ts";
import { median } from "../support/stats.ts";

const BATCH = 64;
const READ = 200_000;
const PAGE = 256;
const TOKENS = [" the", " quick", " token", "s", " interruptible", ",", " agent"];

/** The log in files beside the simplest thing that is as durable: JSON lines and one fdatasync for each batch. */
export const fileLogRow: Row = {
  name: "file-log",
  title: "the log in files",
  async measure({ quick }) {
    const folder = mkdtempSync(join(tmpdir(), "rubato-bench-"));
    try {
      const batches = quick ? 20 : 100;
      const options = quick ? { rounds: 4, warmup: 1 } : { rounds: 20, warmup: 3 };
      let round = 0;
      const samples = await interleave(
        options,
        () => rawLines(join(folder, `raw${round++}.jsonl`), batches),
        () => appended(join(folder, `log${round++}`), batches),
      );
      const { loop, rubato, ratio } = compare(samples);
      const perSecond = (took: number): number => (batches * BATCH * 1_000) / took;
      const { bytes, seconds } = await streamed(join(folder, "stream"), quick ? 3 : 9);
      return [
        {
          what: `append and fdatasync, ${BATCH} events a batch`,
          loop: rate(perSecond(loop)),
          rubato: rate(perSecond(rubato)),
          ratio,
          target: "<= 1.43 x",
          met: ratio <= 1 / 0.7,
        },
        {
          what: "  read and decode tokens, each a commit of its own",
          loop: "",
          rubato: rate(READ / seconds),
          target: ">= 800 k/s",
          met: READ / seconds >= 800_000,
        },
        {
          what: "  a token on disk, each a commit of its own",
          loop: "",
          rubato: `${bytes.toFixed(1)} bytes`,
          target: "<= 40 bytes",
          met: bytes <= 40,
        },
      ];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function first(): Event {
  return { seq: 1, timestamp: 1, runId: "r", type: "custom", data: { name: "begin", data: null } };
}

/** About 200 bytes as a line. */
function control(seq: number): Event {
  const data = {
    id: `input-${seq}`,
    text: "What is the weather in Rome, and what was it yesterday?",
    when: "step",
  } as const;
  return { seq, timestamp: 1_700_000_000_000 + seq, runId: "r", type: "user_input", data: { ...data }, cause: 1 };
}

function batchFrom(seq: number): Event[] {
  return Array.from({ length: BATCH }, (_, at) => control(seq + at));
}

async function rawLines(path: string, batches: number): Promise<number> {
  const fd = openSync(path, "w");
  try {
    return await timed(async () => {
      for (let at = 0; at < batches; at++) {
        writeSync(
          fd,
          batchFrom(2 + at * BATCH)
            .map((event) => `${JSON.stringify(event)}\n`)
            .join(""),
        );
        await new Promise<void>((resolve, reject) => {
          fdatasync(fd, (error) => {
            if (error === null) resolve();
            else reject(error);
          });
        });
      }
    });
  } finally {
    closeSync(fd);
  }
}

async function appended(folder: string, batches: number): Promise<number> {
  const log = fileLog(folder, { durability: "power" });
  await log.append("r", { epoch: 1, events: [first()] });
  const took = await timed(async () => {
    for (let at = 0; at < batches; at++) await log.append("r", { epoch: 1, events: batchFrom(2 + at * BATCH) });
  });
  const { seq } = await log.head("r");
  expect(seq === batches * BATCH + 1, `the log in files has ${seq} events`);
  await log.close?.();
  return took;
}

/** A stream in which every token is a commit: how many bytes each takes, and how long it takes to read them all by the page. */
async function streamed(folder: string, rounds: number): Promise<{ bytes: number; seconds: number }> {
  const log = fileLog(folder);
  await log.append("r", { epoch: 1, events: [first()] });
  const path = join(folder, "r", "000001.jsonl");
  const before = statSync(path).size;
  let offset = 0;
  for (let seq = 2; seq <= READ; seq++) {
    const text = TOKENS[seq % TOKENS.length] ?? "";
    const data = { kind: "text", text, messageId: "1.1", attempt: 1, offset } as const;
    const timestamp = 1_700_000_000_000 + seq * 3;
    offset += text.length;
    await log.append("r", {
      epoch: 1,
      events: [{ seq, timestamp, runId: "r", type: "token_stream", data: { ...data } }],
    });
  }
  const bytes = (statSync(path).size - before) / READ;
  const times: number[] = [];
  for (let round = -1; round < rounds; round++) {
    // A log of its own each time: nothing of an index is there yet.
    const reader = fileLog(folder);
    let seq = 0;
    const took = await timed(async () => {
      for (;;) {
        const page = await reader.read("r", { after: seq, limit: PAGE });
        if (page.length === 0) return;
        seq += page.length;
      }
    });
    expect(seq === READ, `${seq} of ${READ} events were read`);
    if (round >= 0) times.push(took);
  }
  return { bytes, seconds: median(times) / 1_000 };
}
