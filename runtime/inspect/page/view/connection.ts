import type { RunCommands } from "../../../client/index.ts";

/** A run in a server's list. */
export interface RunInfo {
  readonly runId: string;
  readonly title: string;
  readonly status: string;
  readonly seq: number;
}

/** What a command was answered, or why it could not be asked. */
export type Answer =
  | {
      readonly kind: "accepted";
      readonly seq: number | undefined;
      readonly runId: string | undefined;
      /** Of an interrupt: the run came to its end before. */
      readonly overtaken: boolean;
    }
  /** In one word, and where there is one in a sentence. */
  | { readonly kind: "refused"; readonly reason: string; readonly message: string | undefined }
  /** Nobody answered, or something else than the run did. */
  | { readonly kind: "failed"; readonly message: string };

/** A command: what is called on the run. */
export type Act = (
  run: RunCommands,
) => Promise<
  | { readonly accepted: true; readonly seq: number; readonly runId?: string; readonly effective?: boolean }
  | { readonly accepted: false; readonly reason: string; readonly message?: string }
>;

export interface Follow {
  readonly after: number;
  readonly onEvents: (events: readonly unknown[]) => void;
  readonly onLine: (line: "open" | "lost" | "ended", why?: string) => void;
}

/** The way to a server. */
export interface Connection {
  runs(): Promise<readonly RunInfo[]>;
  /** The seq that a run stands at now; undefined where nobody says. Never rejects. */
  headOf(runId: string): Promise<number | undefined>;
  /** Hands on every event after a seq, and those that come; goes on after a cut. Answers how to end it. */
  follow(runId: string, follow: Follow): () => void;
  /** Never rejects: what goes wrong is an answer too. */
  command(runId: string, act: Act): Promise<Answer>;
}
