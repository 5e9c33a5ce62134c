import { expect, it } from "vitest";
import * as fc from "fast-check";
import { packedEvents } from "../../runtime/log/packed-events.ts";
import type { Event, EventOf } from "../../machines/events.ts";

/** What a token may say: of few messages, so that many follow each other, with every kind of break between them. */
const piece = fc.record({
  text: fc.oneof(
    { weight: 8, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 5 }) },
    { weight: 1, arbitrary: fc.constantFrom("\uD83D", "\uDE00", "x".repeat(0xffff), "x".repeat(0x1_0000)) },
  ),
  kind: fc.constantFrom("text" as const, "text" as const, "text" as const, "reasoning" as const),
  step: fc.integer({ min: 0, max: 12 }).map((roll) => (roll === 0 ? 1 : 0)),
  wait: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 300 }) },
    { weight: 1, arbitrary: fc.constantFrom(-5, 0.1, 0.7, 65_535, 65_536, 1e9) },
  ),
  end: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
  cause: fc.integer({ min: 0, max: 19 }).map((roll) => (roll === 0 ? { cause: 1 } : {})),
  /** Comes together with those of the same kind before it that did. */
  held: fc.boolean(),
  look: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
});

it("E1 reads what was appended, field by field, from every seq and in every number, also while it is written", () => {
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(0.1, 1_700_000_000_000),
      (pieces, limit, began) => {
        const packed = packedEvents();
        const all: Event[] = [];
        const keep = (event: Event): void => {
          all.push(event);
          packed.append(event);
        };
        let attempt = 1;
        let timestamp = began;
        const said = { text: "", reasoning: "" };
        let waiting: EventOf<"token_stream">[] = [];
        const flush = (): void => {
          const [first] = waiting;
          if (first === undefined) return;
          const { kind, messageId, attempt, offset } = first.data;
          const texts = waiting.map(({ data }) => data.text);
          const { timestamp: since } = first;
          const delays = waiting.map((event) => event.timestamp - since);
          const text = texts.join("");
          packed.appendTokens("r", {
            seq: first.seq,
            timestamp: since,
            kind,
            messageId,
            attempt,
            offset,
            count: texts.length,
            texts: [...texts, "", ""],
            delays,
            text,
          });
          waiting = [];
        };
        const say = (event: EventOf<"token_stream">, held: boolean): void => {
          const last = waiting.at(-1);
          const follows = last?.data.kind === event.data.kind && last.data.attempt === event.data.attempt;
          const since = waiting[0]?.timestamp ?? event.timestamp;
          // Whoever holds tokens holds none whose time cannot be told from the first one's.
          const exact = since + (event.timestamp - since) === event.timestamp;
          if (!follows || !held || !exact) flush();
          all.push(event);
          if (held && event.cause === undefined) waiting.push(event);
          else packed.append(event);
        };
        for (const { text, kind, step, wait, end, cause, held, look } of pieces) {
          attempt += step;
          timestamp += wait;
          if (step > 0) Object.assign(said, { text: "", reasoning: "" });
          const data = { kind, text, messageId: "m1", attempt, offset: said[kind].length };
          if (cause.cause !== undefined) flush();
          say({ seq: all.length + 1, timestamp, runId: "r", type: "token_stream", data, ...cause }, held);
          said[kind] += text;
          if (look) flush();
          if (look) expect(packed.read(0, all.length)).toEqual(all);
          if (!end) continue;
          flush();
          const usage = "unknown" as const;
          const message = {
            messageId: "m1",
            step: 1,
            attempt,
            finish: "stop" as const,
            text: said.text,
            calls: [],
            usage,
          };
          keep({
            seq: all.length + 1,
            timestamp,
            runId: step > 0 ? "other" : "r",
            type: "message",
            data: message,
            ...cause,
          });
          // What an app records may look like anything that is kept here.
          const looks = { type: "tokens", seq: 1, runId: "r" };
          const custom = { name: "n", data: looks, ...looks };
          keep({ seq: all.length + 1, timestamp, runId: "r", type: "custom", data: custom, ...cause });
          const gap = { from: all.length + 1, to: all.length + 1, digest: "d" };
          keep({ seq: all.length + 1, timestamp, runId: "r", type: "gap", data: gap });
          Object.assign(said, { text: "", reasoning: "" });
        }
        flush();
        for (let after = 0; after < all.length; after++) {
          expect(packed.read(after, limit)).toEqual(all.slice(after, after + limit));
        }
        expect(packed.length).toBe(all.length);
      },
    ),
    { numRuns: 150 },
  );
});

it("E1 holds for answers of any length and for a clock with fractions", () => {
  const packed = packedEvents();
  const token = (seq: number, text: string, offset: number): Event => ({
    seq,
    timestamp: 1_000.5,
    runId: "r",
    type: "token_stream",
    data: { kind: "text", text, messageId: "m1", attempt: 1, offset },
  });
  for (let seq = 1; seq <= 600; seq++) packed.append(token(seq, "ab", (seq - 1) * 2));
  expect(packed.read(0, 1_000).map((event) => event.seq)).toEqual(Array.from({ length: 600 }, (_, at) => at + 1));
  expect(packed.read(598, 1_000)).toEqual([token(599, "ab", 1_196), token(600, "ab", 1_198)]);
});

it("E1 holds for a time that is a whole number after another one by rounding alone", () => {
  const later = 3.6999999999999997;
  expect(later - 0.7).toBe(3);
  expect(0.7 + 3).not.toBe(later);
  const token = (seq: number, timestamp: number): Event => ({
    seq,
    timestamp,
    runId: "r",
    type: "token_stream",
    data: { kind: "text", text: "a", messageId: "m1", attempt: 1, offset: seq - 2 },
  });
  const input = (seq: number, timestamp: number): Event => ({
    seq,
    timestamp,
    runId: "r",
    type: "user_input",
    data: { id: `i${seq}`, text: "go", when: "step" },
  });
  const all = [input(1, 0.7), token(2, 0.7), token(3, later), input(4, later)];
  const packed = packedEvents();
  for (const event of all) packed.append(event);
  expect(packed.read(0, 9)).toEqual(all);
});
