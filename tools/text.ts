/**
 * The text of UTF-8 bytes. With `cut`, half a character at the end is left out.
 * @throws {Error} When the bytes are no text: a NUL byte, or not UTF-8.
 */
export function decodeText(bytes: Uint8Array, path: string, options?: { readonly cut: boolean }): string {
  if (bytes.includes(0)) throw notText(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: options?.cut ?? false });
  } catch {
    throw notText(path);
  }
}

function notText(path: string): Error {
  return new Error(`"${path}" is not a UTF-8 text file, so it is not read. Choose a text file.`);
}
