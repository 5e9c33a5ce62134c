export function pruneRun(_runId: string): number {
  return 0;
}
