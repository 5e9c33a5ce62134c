import type { Recording } from "../model/recording.ts";

/** What is kept of a run that is longer than the page can hold; nothing where that is all of it. */
export function Kept({ recording }: { recording: Recording }) {
  const { dropped, firstSeq, length } = recording;
  if (dropped === 0) return null;
  return (
    <p class="notice">
      The page keeps the last {length} events of this run, from seq {firstSeq} on: the {dropped} before them made room.
      Its log holds all of them, and its state is whole.
    </p>
  );
}
