// The run that a page shows stands in its address (`#run=ID`): whoever reloads it, or opens it elsewhere, attaches to the same run.

export function runInAddress(): string | undefined {
  return new URLSearchParams(location.hash.slice(1)).get("run") ?? undefined;
}

/** The back button leads to what was shown before: the page then hears `hashchange`. */
export function putInAddress(runId: string): void {
  history.pushState(null, "", `#${new URLSearchParams({ run: runId }).toString()}`);
  linkPages();
}

/** The links to the other pages lead to the same run. */
export function linkPages(): void {
  for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) link.hash = location.hash;
}
