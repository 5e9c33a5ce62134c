/** Where somebody looks: which run, which moment. It stands in the fragment of the address, which no server is told. */
export interface Place {
  readonly run?: string | undefined;
  readonly seq?: number | undefined;
  /** The sample, and no run. */
  readonly sample?: boolean | undefined;
  /** A file that the server was begun with. */
  readonly file?: string | undefined;
  /** Taken out of the address as soon as it was read. */
  readonly token?: string | undefined;
}

/** Reads `#run=ID&seq=12`. What makes no sense is left out. */
export function placeOf(hash: string): Place {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const run = said.get("run") ?? "";
  const seq = said.get("seq") ?? "";
  const file = said.get("file") ?? "";
  const sample = said.get("sample") === "1";
  const token = said.get("token") ?? "";
  return {
    ...(run === "" ? {} : { run }),
    ...(/^\d{1,15}$/.test(seq) ? { seq: Number(seq) } : {}),
    ...(sample ? { sample } : {}),
    ...(file === "" ? {} : { file }),
    ...(token === "" ? {} : { token }),
  };
}

/** The same without the token. */
export function hashOf({ run, seq, file, sample }: Place): string {
  const said = new URLSearchParams();
  if (sample === true) said.set("sample", "1");
  if (run !== undefined) said.set("run", run);
  if (seq !== undefined) said.set("seq", String(seq));
  if (file !== undefined) said.set("file", file);
  const text = said.toString();
  return text === "" ? "" : `#${text}`;
}
