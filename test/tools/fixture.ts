import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Json, ToolContext } from "../../tools/index.ts";

/** What a tool gets beside its input; `progress` collects what it reported. */
export function fakeContext(signal: AbortSignal = new AbortController().signal, answer?: string) {
  const progress: Json[] = [];
  const context: ToolContext = {
    signal,
    runId: "run",
    callId: "1.0",
    attempt: 1,
    idempotencyKey: "run/1.0",
    context: undefined,
    answer,
    progress: (value) => void progress.push(value),
    emit: () => undefined,
    interrupt: () => Promise.resolve({ accepted: false, reason: "not in this test" }),
  };
  return Object.assign(context, { reported: progress });
}

export interface Sandbox {
  /** The folder that the tools may use; `outer` lies around it. */
  readonly root: string;
  readonly outer: string;
  write(path: string, content: string | Uint8Array): Promise<void>;
  remove(): Promise<void>;
}

/** A new folder with an empty root in it. Paths of `write` are relative to `outer`. */
export async function makeSandbox(): Promise<Sandbox> {
  const outer = await realpath(await mkdtemp(join(tmpdir(), "rubato-tools-")));
  const root = join(outer, "root");
  await mkdir(root);
  return {
    root,
    outer,
    async write(path, content) {
      await mkdir(dirname(join(outer, path)), { recursive: true });
      await writeFile(join(outer, path), content);
    },
    remove: () => rm(outer, { recursive: true, force: true }),
  };
}
