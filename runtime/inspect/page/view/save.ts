import { chromeTrace } from "../model/chrome-trace.ts";
import type { Recording } from "../model/recording.ts";
import { selfContained, type Parts } from "../model/self-contained.ts";
import { nextFrame } from "./feeder.ts";
import type { Session } from "./session.ts";

export type Format = "jsonl" | "trace" | "html";

/** Of a text that is handed to the browser at once, in UTF-16 units: from then on it is the browser's to hold, and on its disk. */
const PART = 4 * 1_048_576;
/** How long is written before the page may draw and answer, ms. */
const SLICE = 30;

/** Writes the run as a file of this format. */
export async function save(session: Session, format: Format): Promise<void> {
  const { recording, lanes } = session.main;
  const name = recording.runId.replaceAll(/[^\w-]/g, "_") || "run";
  switch (format) {
    case "jsonl":
      await write(session, `${name}.jsonl`, "application/x-ndjson", endedLines(recording));
      return;
    case "trace":
      await write(session, `${name}.trace.json`, "application/json", chromeTrace(recording, lanes));
      return;
    case "html": {
      const page = await pageParts();
      const pieces = selfContained({ ...page, lines: linesOf(recording), title: recording.runId });
      await write(session, `${name}.html`, "text/html", pieces);
    }
  }
}

function* linesOf({ entries }: Recording): Generator<string, void, undefined> {
  for (const entry of entries) yield JSON.stringify(entry);
}

function* endedLines(recording: Recording): Generator<string, void, undefined> {
  for (const line of linesOf(recording)) yield `${line}\n`;
}

type PageParts = Pick<Parts, "script" | "style" | "scriptHash" | "styleHash">;

/** The page's own script and style with their hashes: as they were loaded, or as they stand in an exported page and in its policy. */
async function pageParts(): Promise<PageParts> {
  const script = document.querySelector("script#page-script")?.textContent;
  const style = document.querySelector("style#page-style")?.textContent;
  if (typeof script === "string" && typeof style === "string") {
    const policy = document.querySelector("meta[http-equiv=Content-Security-Policy]")?.getAttribute("content") ?? "";
    const [, scriptHash = ""] = /script-src 'sha256-([^']+)'/.exec(policy) ?? [];
    const [, styleHash = ""] = /style-src 'sha256-([^']+)'/.exec(policy) ?? [];
    return { script, style, scriptHash, styleHash };
  }
  const [js, css] = await Promise.all([
    fileOf("inspect/page.js", document.querySelector("script[integrity]")),
    fileOf("inspect/page.css", document.querySelector("link[integrity]")),
  ]);
  return { script: js.text, scriptHash: js.hash, style: css.text, styleHash: css.hash };
}

/** The hash comes with the page: a browser computes none for a page that came over plain http from another machine. */
async function fileOf(path: string, named: Element | null): Promise<{ text: string; hash: string }> {
  const integrity = named?.getAttribute("integrity");
  if (typeof integrity !== "string") {
    throw new Error(
      "The page came without the hashes of its files: an HTML file needs them. Open it by rubato inspect.",
    );
  }
  // A server that was renewed meanwhile has another file: that one would not run under this hash.
  let answer: Response;
  try {
    answer = await fetch(path, { integrity });
  } catch (error) {
    const why = `The page's own file ${path} could not be read: the server does not answer, or has another one by now.`;
    throw new Error(`${why} As JSONL and as a trace it can be written all the same.`, { cause: error });
  }
  if (!answer.ok) throw new Error(`The page's own file ${path} could not be read (${answer.status}).`);
  const text = await answer.text();
  return { text, hash: integrity.replace("sha256-", "") };
}

/** Writes in slices, so that the page can be used meanwhile, and hands a file of this name to the browser. */
async function write(session: Session, name: string, type: string, pieces: Iterable<string>): Promise<void> {
  const side = session.main;
  const { recording } = side;
  if (session.writing !== undefined) {
    session.say(`${session.writing.what} is being written: wait for it, or stop it.`, "info");
    return;
  }
  const blobs: Blob[] = [];
  let open: string[] = [];
  let length = 0;
  let stopped = false;
  let began = performance.now();
  session.writing = { what: name, side, stop: () => (stopped = true) };
  session.changed();
  try {
    for (const piece of pieces) {
      open.push(piece);
      length += piece.length;
      if (length > PART) {
        blobs.push(new Blob(open));
        open = [];
        length = 0;
      }
      if (performance.now() - began < SLICE) continue;
      await nextFrame();
      if (stopped) return;
      began = performance.now();
    }
  } finally {
    session.writing = undefined;
    session.changed();
  }
  download(name, new Blob([...blobs, ...open], { type }));
  if (recording.dropped > 0) {
    session.say(
      `${name} begins at seq ${recording.firstSeq}, as what is kept here does. For the whole log: rubato export RUN --out FILE.`,
      "info",
    );
  }
}

function download(name: string, file: Blob): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}
