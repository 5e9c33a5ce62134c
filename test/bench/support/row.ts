/** One line of the table. */
export interface Line {
  readonly what: string;
  /** The hand-written loop's figure, with its unit. */
  readonly loop: string;
  readonly rubato: string;
  /** rubato's figure as a multiple of the loop's, where both measure the same. */
  readonly ratio?: number;
  /** What the design asks for. Without one the line is for information. */
  readonly target?: string;
  readonly met?: boolean;
}

export interface RowOptions {
  /** A smoke run: the same rows, few repetitions. */
  readonly quick: boolean;
}

/** A row of the design's table: one file, one or more lines. Throws where something is wrong rather than slow. */
export interface Row {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  measure(options: RowOptions): Promise<readonly Line[]>;
}

/** Something answered wrongly: the figures would mean nothing. */
export function expect(ok: boolean, what: string): void {
  if (!ok) throw new Error(`The benchmark found a functional error: ${what}.`);
}
