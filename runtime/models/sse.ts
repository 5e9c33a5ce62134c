/**
 * Takes server-sent events apart as their bytes arrive. Only the data of an event is kept: a chat endpoint says nothing in the other fields.
 *
 * Lines end with LF, CRLF or CR, and bytes may be split anywhere, also inside of a character or of a CRLF. Each byte is looked at once, however
 * many events come in one piece or however many pieces one event comes in.
 */
export interface SseParser {
  /** The data of the events that these bytes complete. What an event without its blank line holds is never told. */
  push(bytes: Uint8Array): string[];
}

export function sseParser(): SseParser {
  return new Parser();
}

const LF = 10;
const CR = 13;
const SPACE = 32;
const utf8 = new TextDecoder();

class Parser implements SseParser {
  /** A line whose end has not come. */
  private held: Uint8Array[] = [];
  private data: string | undefined;
  private endedWithCr = false;

  push(bytes: Uint8Array): string[] {
    const cut = endOfLines(bytes);
    if (cut === 0) {
      if (bytes.length > 0) this.held.push(bytes);
      return [];
    }
    // A line's end is never inside of a character: whole lines can be decoded at once, and nothing is left over.
    let text = utf8.decode(this.joined(bytes.subarray(0, cut)));
    this.held = cut === bytes.length ? [] : [bytes.subarray(cut)];
    if (this.endedWithCr && text.startsWith("\n")) text = text.slice(1);
    this.endedWithCr = text.endsWith("\r");
    return this.lines(text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text);
  }

  private joined(end: Uint8Array): Uint8Array {
    if (this.held.length === 0) return end;
    return Buffer.concat([...this.held, end]);
  }

  private lines(text: string): string[] {
    const events: string[] = [];
    let at = 0;
    while (at < text.length) {
      const end = text.indexOf("\n", at);
      if (end === at) {
        // Some endpoints send empty events to keep the connection open.
        if (this.data !== undefined && this.data !== "") events.push(this.data);
        this.data = undefined;
      } else if (text.startsWith("data:", at)) {
        const line = text.slice(text.charCodeAt(at + 5) === SPACE ? at + 6 : at + 5, end);
        this.data = this.data === undefined ? line : `${this.data}\n${line}`;
      }
      at = end + 1;
    }
    return events;
  }
}

/** Where the last whole line ends. */
function endOfLines(bytes: Uint8Array): number {
  let at = bytes.length;
  while (at > 0 && bytes[at - 1] !== LF && bytes[at - 1] !== CR) at--;
  return at;
}
