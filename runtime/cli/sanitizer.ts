/**
 * Makes text of a model, a tool or a person safe for a terminal. Such text is hostile: it may copy to the clipboard, set titles, draw links,
 * switch modes, overwrite what stands there, or ask the terminal questions whose answers are typed into the prompt.
 *
 * Z1 The output has no control character but `\n` and `\t`, no bidi control and no lone surrogate.
 * Z2 The output is the same however the input is split into pieces.
 * Z3 An escape sequence goes as a whole. One that does not end takes no text with it: at a newline, or after {@link MAX_STRING} characters,
 *    only its introducer is dropped.
 */
export interface Sanitizer {
  /** Takes the next piece, answers what may be shown of it. */
  write(piece: string): string;
  /** The text is over: answers what was held back. The sanitizer is as new then. */
  end(): string;
}

/** Longest string sequence (OSC, DCS, APC, PM, SOS) that is dropped as a whole, in UTF-16 units. */
export const MAX_STRING = 4096;
/** Longest run of parameters of a CSI or of intermediates of a short sequence. Real ones are far shorter. */
const MAX_PARAMETERS = 64;

const BEL = 0x07;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const CAN = 0x18;
const SUB = 0x1a;
const ESC = 0x1b;
const DEL = 0x7f;
const NEL = 0x85;
const ST = 0x9c;
const REPLACEMENT = "\ufffd";

/** `string-escape`: inside a string sequence, after an ESC that may begin its end. */
type Mode = "text" | "escape" | "intermediate" | "csi" | "string" | "string-escape";

export function createSanitizer(): Sanitizer {
  let mode: Mode = "text";
  let out = "";
  /** What the open sequence has swallowed. Holds no control characters. */
  let held = "";
  /** A high surrogate waits for its other half. */
  let high = "";
  let afterReturn = false;

  function enter(next: Mode): void {
    mode = next;
    held = "";
  }

  /** Gives the sequence up: what it swallowed was text after all. */
  function giveUp(): void {
    const text = held;
    enter("text");
    for (let index = 0; index < text.length; index++) show(text.charCodeAt(index), text.charAt(index));
  }

  function show(code: number, unit: string): void {
    if (code >= 0xdc00 && code <= 0xdfff) {
      out += high === "" ? REPLACEMENT : high + unit;
      high = "";
      return;
    }
    if (high !== "") {
      out += REPLACEMENT;
      high = "";
    }
    if (code >= 0xd800 && code <= 0xdbff) high = unit;
    else if (isLineEnd(code)) out += "\n";
    else if (isPrintable(code)) out += unit;
  }

  function take(code: number, unit: string): void {
    switch (mode) {
      case "text":
        text(code, unit);
        return;
      case "escape":
        escape(code, unit);
        return;
      case "intermediate":
      case "csi":
        parameters(code, unit);
        return;
      case "string":
        inString(code, unit);
        return;
      case "string-escape":
        // ESC \ ends the string. Any other ESC cancels it and begins a sequence of its own, as in real terminals.
        enter("text");
        if (unit !== "\\") escape(code, unit);
        return;
    }
  }

  function text(code: number, unit: string): void {
    const follows = afterReturn;
    afterReturn = code === CR;
    if (code === LF && follows) return;
    if (code === ESC) enter("escape");
    else if (code === 0x9b) enter("csi");
    else if (isStringIntroducer(code)) enter("string");
    // A lone CR would let the rest overwrite the line: it ends the line instead.
    else if (code === CR) show(LF, "\n");
    else show(code, unit);
  }

  function escape(code: number, unit: string): void {
    if (unit === "[") enter("csi");
    else if (unit === "]" || unit === "P" || unit === "X" || unit === "^" || unit === "_") enter("string");
    else if (code === ESC) enter("escape");
    else if (code >= 0x20 && code <= 0x2f) enter("intermediate");
    else {
      enter("text");
      if (code < 0x30 || code >= DEL) text(code, unit);
    }
  }

  function parameters(code: number, unit: string): void {
    const last = mode === "csi" ? 0x3f : 0x2f;
    if (code >= 0x20 && code <= last) {
      held += unit;
      if (held.length > MAX_PARAMETERS) giveUp();
      return;
    }
    enter("text");
    if (code < 0x20 || code >= DEL) text(code, unit);
  }

  function inString(code: number, unit: string): void {
    if (code === ESC) {
      mode = "string-escape";
      return;
    }
    if (code === BEL || code === ST || code === CAN || code === SUB) {
      enter("text");
      return;
    }
    if (code === CR || isLineEnd(code)) {
      giveUp();
      text(code, unit);
      return;
    }
    if (!isControl(code)) held += unit;
    if (held.length > MAX_STRING) giveUp();
  }

  return {
    write(piece) {
      if (mode === "text" && high === "" && !afterReturn && isPlain(piece)) return piece;
      for (let index = 0; index < piece.length; index++) take(piece.charCodeAt(index), piece.charAt(index));
      const shown = out;
      out = "";
      return shown;
    },
    end() {
      if (mode === "string") giveUp();
      enter("text");
      const shown = high === "" ? out : out + REPLACEMENT;
      out = "";
      high = "";
      afterReturn = false;
      return shown;
    },
  };
}

/** A whole text at once. */
export function sanitize(text: string): string {
  const sanitizer = createSanitizer();
  return sanitizer.write(text) + sanitizer.end();
}

/** A whole text as one line: line ends and tabs become spaces, and what is longer than `max` UTF-16 units is cut with `…`. */
export function oneLine(text: string, max = 200): string {
  // Not more than can be shown needs to be looked at: a tool may answer megabytes.
  const line = sanitize(text.slice(0, max * 4 + MAX_STRING))
    .replace(/\s+/g, " ")
    .trim();
  if (line.length <= max) return line;
  const cut = line.slice(0, max - 1);
  return `${cut.isWellFormed() ? cut : cut.slice(0, -1)}…`;
}

/** JSON of a value that may be printed to a terminal as it is: what JSON leaves raw (C1, DEL, bidi controls) is escaped, the value stays. */
export function safeJson(value: unknown, indent = 0): string {
  let out = "";
  for (const unit of JSON.stringify(value, undefined, indent)) {
    const code = unit.charCodeAt(0);
    // JSON has a raw newline between its tokens alone.
    out +=
      unit.length > 1 || code === LF || (isPrintable(code) && !isLineEnd(code))
        ? unit
        : `\\u${code.toString(16).padStart(4, "0")}`;
  }
  return out;
}

function isPlain(piece: string): boolean {
  for (let index = 0; index < piece.length; index++) {
    const code = piece.charCodeAt(index);
    if (code >= 0x20 && code < DEL) continue;
    if (!isPrintable(code) || isLineEnd(code) !== (code === LF) || (code >= 0xd800 && code <= 0xdfff)) return false;
  }
  return true;
}

function isControl(code: number): boolean {
  return code < 0x20 || (code >= DEL && code <= 0x9f);
}

/** NEL and the Unicode separators end a line in some terminals only; here they do in all. */
function isLineEnd(code: number): boolean {
  return code === LF || code === NEL || code === 0x2028 || code === 0x2029;
}

function isStringIntroducer(code: number): boolean {
  return code === 0x90 || code === 0x98 || code === 0x9d || code === 0x9e || code === 0x9f;
}

function isPrintable(code: number): boolean {
  if (isControl(code)) return code === TAB || code === LF;
  return !isBidiControl(code) && !(code >= 0xfff9 && code <= 0xfffb);
}

/** Marks, embeddings, overrides, isolates and the deprecated formats beside them: they reorder what a person reads. */
function isBidiControl(code: number): boolean {
  return (
    code === 0x061c ||
    code === 0x200e ||
    code === 0x200f ||
    (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2066 && code <= 0x206f)
  );
}
