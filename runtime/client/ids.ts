/** An id that nobody else has. `crypto.randomUUID` is missing in pages that are not served over https. */
export function newId(kind: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `${kind}_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
