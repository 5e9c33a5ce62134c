import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sseParser } from "../../runtime/models/sse.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function parse(...pieces: (string | Uint8Array)[]): string[] {
  const parser = sseParser();
  return pieces.flatMap((piece) => parser.push(typeof piece === "string" ? bytes(piece) : piece));
}

describe("the parser of server-sent events", () => {
  it("tells the data of each event, with and without a space after the colon", () => {
    expect(parse('data: {"a":1}\n\ndata:b\n\ndata:  two\n\n')).toEqual(['{"a":1}', "b", " two"]);
  });

  it("puts several lines of data together", () => {
    expect(parse("data: one\ndata: two\n\n")).toEqual(["one\ntwo"]);
  });

  it("leaves out comments, other fields, and events without data", () => {
    expect(
      parse(": ping\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\nevent: y\n\ndata\n\ndata:\n\ndatabase: z\n\n"),
    ).toEqual(["a"]);
  });

  it("takes every kind of line end, also a CRLF in two pieces", () => {
    expect(parse("data: a\r\n\r\ndata: b\r\rdata: c\n\n")).toEqual(["a", "b", "c"]);
    expect(parse("data: a\r", "\n\r", "\ndata: b\r", "\r", "data: c\n\n")).toEqual(["a", "b", "c"]);
  });

  it("holds an event back until its blank line, and for ever without one", () => {
    const parser = sseParser();
    expect(parser.push(bytes("data: a\n"))).toEqual([]);
    expect(parser.push(bytes("\ndata: b"))).toEqual(["a"]);
    expect(parser.push(bytes("\n"))).toEqual([]);
  });

  it("takes a byte order mark at the start, and replaces what is no UTF-8", () => {
    expect(parse("\uFEFFdata: a\n\n")).toEqual(["a"]);
    expect(parse(new Uint8Array([...bytes("data: "), 0xff, 10, 10]))).toEqual(["\uFFFD"]);
  });

  it("gives the same however the bytes are split", () => {
    const end = fc.constantFrom("\n", "\r\n", "\r");
    const line = fc.oneof(
      fc.constantFrom("data: {}", "data:é", "data: 😀…", "data: \u2028", ": comment", "event: x", "", ""),
      fc.string({ unit: "grapheme" }).map((text) => `data: ${text.replaceAll(/[\r\n]/g, "")}`),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(line, end)), fc.infiniteStream(fc.integer({ min: 1, max: 7 })), (lines, sizes) => {
        const whole = bytes(lines.flat().join(""));
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < whole.length;) {
          const size = sizes.next().value ?? 1;
          pieces.push(whole.subarray(at, at + size));
          at += size;
        }
        expect(parse(...pieces)).toEqual(parse(whole));
      }),
    );
  });
});
