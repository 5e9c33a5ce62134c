import { array, assert, constantFrom, nat, oneof, property, record } from "fast-check";
import { expect, it } from "vitest";
import { createTheme } from "../../runtime/cli/theme.ts";
import { createTranscript } from "../../runtime/cli/transcript.ts";

const plain = createTheme(false);

it("prints a row when nothing can change it any more", () => {
  const transcript = createTranscript(plain);
  transcript.stream("answer", "one two thr");
  expect(transcript.take(9)).toEqual({ finished: ["one two"], open: ["thr"] });
  transcript.stream("answer", "ee four");
  expect(transcript.take(9)).toEqual({ finished: ["three"], open: ["four"] });
  transcript.stream("answer", "\nfive");
  expect(transcript.take(9)).toEqual({ finished: ["four"], open: ["five"] });
  transcript.close();
  expect(transcript.take(9)).toEqual({ finished: ["five"], open: [] });
  expect(transcript.take(9)).toEqual({ finished: [], open: [] });
});

it("marks who speaks and sets turns apart", () => {
  const transcript = createTranscript(plain);
  transcript.add("user", "what is\nthis");
  transcript.add("tool", "calculate");
  transcript.add("result", "391");
  transcript.stream("answer", "\n\n 391.\n");
  transcript.close();
  transcript.add("user", "next");
  expect(transcript.take(40).finished).toEqual([
    "",
    "› what is",
    "  this",
    "",
    "· calculate",
    "  → 391",
    "",
    "391.",
    "",
    "› next",
  ]);
});

it("draws the last rows again at another width, and goes on from there", () => {
  const transcript = createTranscript(plain);
  transcript.add("note", "aaa bbb");
  transcript.stream("answer", "one two three four");
  transcript.take(40);
  expect(transcript.retake(9, 10)).toEqual({ finished: ["aaa bbb", "", "one two", "three"], open: ["four"] });
  expect(transcript.retake(9, 2)).toEqual({ finished: ["one two", "three"], open: ["four"] });
  transcript.stream("answer", " five six");
  expect(transcript.take(9)).toEqual({ finished: ["four"], open: ["five six"] });
});

it("closes a line that does not end, and loses nothing of it", () => {
  const transcript = createTranscript(plain);
  let printed = "";
  for (let index = 0; index < 3_000; index++) {
    transcript.stream("answer", `w${index} `);
    if (index % 7 === 0) printed += `${transcript.take(50).finished.join(" ")} `;
  }
  transcript.close();
  printed += transcript.take(50).finished.join(" ");
  expect(printed.split(/\s+/).filter(Boolean)).toEqual(Array.from({ length: 3_000 }, (_none, index) => `w${index}`));
});

it("whatever is streamed and whenever it is taken, the rows are those of the whole (property)", () => {
  const operation = oneof(
    record({ stream: constantFrom("word ", "日本", "\n", "long-long-word", " ", "x") }),
    record({ add: constantFrom("note one", "a longer note of several words") }),
    record({ take: nat(3) }),
  );
  assert(
    property(array(operation, { maxLength: 40 }), (operations) => {
      const often = createTranscript(plain);
      const once = createTranscript(plain);
      const rows: string[] = [];
      for (const step of operations) {
        if ("take" in step) rows.push(...often.take(12).finished);
        else {
          for (const transcript of [often, once]) {
            if ("add" in step) transcript.add("note", step.add);
            else transcript.stream("answer", step.stream);
          }
        }
      }
      for (const transcript of [often, once]) transcript.close();
      rows.push(...often.take(12).finished);
      expect(rows).toEqual(once.take(12).finished);
    }),
  );
});
