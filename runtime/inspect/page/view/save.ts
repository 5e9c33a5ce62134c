import { chromeTrace } from "../model/chrome-trace.ts";
import { selfContained } from "../model/self-contained.ts";
import type { Session } from "./session.ts";

export type Format = "jsonl" | "trace" | "html";

/** Writes the run as a file of this format. */
export async function save(session: Session, format: Format): Promise<void> {
  const { recording, lanes } = session.main;
  const name = recording.runId.replaceAll(/[^\w-]/g, "_") || "run";
  switch (format) {
    case "jsonl":
      // In pieces: the text of a long run in one string would be too much for the browser.
      download(
        `${name}.jsonl`,
        "application/x-ndjson",
        recording.entries.map((entry) => `${JSON.stringify(entry)}\n`),
      );
      return;
    case "trace":
      download(`${name}.trace.json`, "application/json", [JSON.stringify(chromeTrace(recording, lanes))]);
      return;
    case "html": {
      const { script, style } = await pageText();
      const lines = recording.entries.map((entry) => JSON.stringify(entry));
      download(`${name}.html`, "text/html", [
        await selfContained({ script, style, lines, hash, title: recording.runId }),
      ]);
    }
  }
}

/** The page's own script and style: as they were loaded, or as they stand in an exported page. */
async function pageText(): Promise<{ script: string; style: string }> {
  const script = document.querySelector("script#page-script")?.textContent;
  const style = document.querySelector("style#page-style")?.textContent;
  if (typeof script === "string" && typeof style === "string") return { script, style };
  const [js, css] = await Promise.all(["inspect/page.js", "inspect/page.css"].map(textOf));
  return { script: js ?? "", style: css ?? "" };
}

async function textOf(path: string): Promise<string> {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`The page's own file ${path} could not be read (${answer.status}).`);
  return answer.text();
}

async function hash(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return btoa(String.fromCharCode(...bytes));
}

function download(name: string, type: string, parts: readonly string[]): void {
  const url = URL.createObjectURL(new Blob([...parts], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}
