/** What a program writes, with a bound: the beginning and the end are kept. */
export interface KeptOutput {
  add(chunk: Uint8Array): void;
  /** As UTF-8, what is none replaced. Where something was left out, a line between the two parts says how much. */
  text(): string;
}

/** @param limit Bytes that are kept at most: half of them of the beginning, half of the end. */
export function keepEnds(limit: number): KeptOutput {
  const half = Math.floor(limit / 2);
  let head: Buffer | undefined;
  // A ring: chunks of one byte, kept as objects, would take a hundred times their size.
  let tail: Buffer | undefined;
  let at = 0;
  let total = 0;
  return {
    add(chunk) {
      const room = Math.max(0, half - total);
      if (room > 0) (head ??= Buffer.alloc(half)).set(chunk.subarray(0, room), total);
      total += chunk.length;
      let rest = chunk.subarray(room);
      if (rest.length === 0) return;
      tail ??= Buffer.alloc(half);
      rest = rest.subarray(Math.max(0, rest.length - half));
      const first = rest.subarray(0, half - at);
      tail.set(first, at);
      tail.set(rest.subarray(first.length), 0);
      at = (at + rest.length) % half;
    },
    text() {
      const beginning = head?.subarray(0, total) ?? Buffer.alloc(0);
      if (tail === undefined) return decode(beginning);
      if (total <= 2 * half) return decode(Buffer.concat([beginning, tail.subarray(0, total - half)]));
      const end = Buffer.concat([tail.subarray(at), tail.subarray(0, at)]);
      // The cuts fall between two characters: what is half of one is left out as well.
      const before = beginning.subarray(0, wholeCharacters(beginning));
      const after = end.subarray(continuationBytes(end));
      const leftOut = total - before.length - after.length;
      return `${decode(before)}\n[... ${leftOut} bytes left out ...]\n${decode(after)}`;
    },
  };
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** How many bytes at the beginning are the rest of a character: 0 to 3. */
function continuationBytes(bytes: Uint8Array): number {
  let count = 0;
  while (count < 3 && ((bytes[count] ?? 0) & 0xc0) === 0x80) count++;
  return count;
}

/** The length without the beginning of a character at the end whose rest is missing. */
function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
