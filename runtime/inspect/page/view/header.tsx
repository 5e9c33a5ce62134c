import { expose } from "../../../cli/exposed.ts";
import { oneLine } from "../../../cli/sanitizer.ts";
import type { Opener } from "./opener.ts";
import { save, type Format } from "./save.ts";
import type { Session } from "./session.ts";

/** Of a run in a list, in UTF-16 units. */
const LONGEST_NAME = 80;

interface Props {
  readonly session: Session;
  readonly opener: Opener;
}

/** What is open, what else can be, and how it leaves the page. */
export function Header({ session, opener }: Props) {
  const { connection, runs, main } = session;
  const empty = main.recording.length === 0;
  const { runId } = main.recording;
  const open = (file: File | undefined): void => {
    if (file !== undefined) tell(session, opener.openFile(file));
  };
  return (
    <header class="top">
      <h1>rubato</h1>
      {connection === undefined ? (
        <span class="title" title={session.title}>
          {session.title}
        </span>
      ) : (
        <select
          class="title"
          aria-label="Run"
          value={session.origin === "run" ? runId : ""}
          onChange={(change) => {
            const chosen = change.currentTarget.value;
            if (chosen !== "") opener.openRun(connection, chosen);
          }}
        >
          <option value="">{session.origin === "run" ? "choose a run" : session.title}</option>
          {runs.map(({ runId: id, title, status }) => (
            <option key={id} value={id}>
              {`${nameOf(id, title)} (${status})`}
            </option>
          ))}
        </select>
      )}
      <LineOf session={session} />
      <span class="grow" />
      <label class="button" title="A log that rubato export wrote; it can also be dropped here">
        Open
        <input
          type="file"
          class="hidden-input"
          aria-label="Open a log file"
          accept=".jsonl,.ndjson,.json,application/x-ndjson"
          onChange={(change) => {
            open(change.currentTarget.files?.[0]);
            change.currentTarget.value = "";
          }}
        />
      </label>
      <button type="button" class="wide" onClick={() => tell(session, opener.openSample())}>
        Sample
      </button>
      <select
        class="narrow"
        aria-label="Compare with"
        value=""
        disabled={empty}
        onChange={(change) => {
          const chosen = change.currentTarget.value;
          change.currentTarget.value = "";
          if (chosen === "file") document.querySelector<HTMLInputElement>("#beside")?.click();
          else if (connection !== undefined && chosen !== "") opener.openBeside(connection, chosen);
        }}
      >
        <option value="">Compare…</option>
        <option value="file">with a file</option>
        {runs
          .filter(({ runId: id }) => id !== runId)
          .map(({ runId: id, title }) => (
            <option key={id} value={id}>
              {`with ${nameOf(id, title)} (${id.slice(0, 12)})`}
            </option>
          ))}
      </select>
      <input
        id="beside"
        type="file"
        class="hidden-input"
        tabIndex={-1}
        aria-label="A log file to compare with"
        onChange={(change) => {
          const [file] = change.currentTarget.files ?? [];
          if (file !== undefined) tell(session, opener.openFileBeside(file));
          change.currentTarget.value = "";
        }}
      />
      <select
        class="narrow"
        aria-label="Export"
        value=""
        disabled={empty}
        onChange={(change) => {
          const format = formatOf(change.currentTarget.value);
          change.currentTarget.value = "";
          if (format !== undefined) tell(session, save(session, format));
        }}
      >
        <option value="">Export…</option>
        <option value="jsonl">as JSONL</option>
        <option value="trace">as Chrome trace</option>
        <option value="html">as one HTML file</option>
      </select>
      <button
        type="button"
        aria-label="Help"
        aria-pressed={session.help}
        onClick={() => {
          session.help = !session.help;
          session.changed();
        }}
      >
        ?
      </button>
    </header>
  );
}

/** What somebody asked, on one line and without what cannot be seen: it cannot turn around what stands behind it. */
function nameOf(runId: string, title: string): string {
  const said = expose(oneLine(title, LONGEST_NAME));
  return said === "" ? runId : said;
}

function LineOf({ session }: { session: Session }) {
  switch (session.line) {
    case "open":
      return <span class="badge good">live</span>;
    case "lost":
      return <span class="badge bad">no connection</span>;
    case "ended":
      return <span class="badge open">ended</span>;
    case "none":
      return session.origin === "sample" ? <span class="badge open">sample</span> : null;
  }
}

/** What fails is said in the page. */
export function tell(session: Session, work: Promise<void>): void {
  work.catch((error: unknown) => {
    session.say(error instanceof Error ? error.message : "That failed.");
  });
}

function formatOf(value: string): Format | undefined {
  return value === "jsonl" || value === "trace" || value === "html" ? value : undefined;
}
