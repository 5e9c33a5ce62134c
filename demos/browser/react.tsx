// The same with React: `useRun` follows the run, gives what is to be drawn, and has the commands.

import "./no-eval.ts";
import { memo, StrictMode, useEffect, useRef, useState, type ReactElement } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "rubato/client";
import { useRun } from "rubato/react";
import { canInterrupt, canResume, canSend, connectionText, isWorking, receiptText, statusText } from "./abilities.ts";
import { linkPages, putInAddress, runInAddress } from "./address.ts";
import { entryOf, type Entry } from "./entry.ts";
import { followEnd } from "./follow-end.ts";

// One client for all renderings. A page has time: it tries until the server is there again.
const client = createClient({ url: "api", reconnect: { attempts: 1_000_000, maxMs: 5_000 } });

function Conversation({ asked }: { readonly asked: string | undefined }): ReactElement {
  const run = useRun(client, asked);
  const { state, connection, messages, error } = run;
  const [text, setText] = useState("");
  const [notice, setNotice] = useState("");
  const transcript = useRef<HTMLDivElement>(null);
  useEffect(() => (transcript.current === null ? undefined : followEnd(transcript.current)), []);

  const hasRun = run.runId !== undefined;
  const said = text.trim();

  /** Commands of the hook never reject: what could not be asked is a receipt too. */
  function tell(receipt: Promise<Parameters<typeof receiptText>[0]>): void {
    const show = (got: Parameters<typeof receiptText>[0]): void => {
      setNotice(receiptText(got));
    };
    receipt.then(show, (thrown: unknown) => {
      setNotice(String(thrown));
    });
  }

  async function begin(): Promise<Parameters<typeof receiptText>[0]> {
    const receipt = await run.start(said);
    if (receipt.accepted) putInAddress(receipt.runId);
    return receipt;
  }

  function start(): void {
    if (said === "") return;
    setText("");
    tell(begin());
  }

  function send(when: "step" | "now"): void {
    if (said === "") return;
    setText("");
    tell(run.send(said, { when }));
  }

  function resume(): void {
    setText("");
    tell(run.resume(said === "" ? undefined : said));
  }

  function reject(callId: string): void {
    setText("");
    tell(run.reject(callId, said === "" ? undefined : said));
  }

  function interrupt(): void {
    tell(run.interrupt("the person stopped it", { mode: "now" }));
  }

  const mayInterrupt = canInterrupt(state);
  return (
    <div
      onKeyDown={({ key }) => {
        if (key === "Escape" && mayInterrupt) interrupt();
      }}
    >
      <main>
        <div id="transcript" role="log" aria-label="Conversation" aria-busy={run.isStreaming} ref={transcript}>
          {messages.map((message, index) => {
            const entry = entryOf(message, state);
            // What was said stays at its place: its number is its key.
            return entry && <Line key={index} {...entry} />;
          })}
        </div>
        {!hasRun && (
          <p id="hint">
            Say what to do and press Start: “Write a long text about the sea.”, “Count the .ts files in machines.”, or
            “Write 'hello' to note.txt.”, which waits for your approval. Then stop it, redirect it, reload the page:
            nothing is lost.
          </p>
        )}
        <div id="approvals">
          {state.pendingApprovals.map(({ callId, name, rawArgs, approval }) => (
            <div key={callId} className="approval" role="group" aria-label={`${name} waits for you`}>
              <p className="text">{`${name} ${rawArgs}`}</p>
              <button
                type="button"
                onClick={() => {
                  // The approval is good for the arguments that stand here, and no others.
                  tell(run.approve(callId, { argsHash: approval?.argsHash ?? "" }));
                }}
              >
                Approve
              </button>
              <button
                type="button"
                onClick={() => {
                  reject(callId);
                }}
              >
                Reject
              </button>
            </div>
          ))}
        </div>
      </main>
      <form
        id="composer"
        onSubmit={(event) => {
          event.preventDefault();
          if (hasRun) send("step");
          else start();
        }}
      >
        <p className="line">
          <span id="status" role="status">
            {hasRun ? statusText(state) : "no run yet"}
          </span>
          <span id="connection" role="status">
            {hasRun ? connectionText(connection) : ""}
          </span>
        </p>
        <label htmlFor="text">Message</label>
        <input
          id="text"
          autoComplete="off"
          aria-describedby="keys"
          value={text}
          onChange={({ target }) => {
            setText(target.value);
          }}
        />
        <div className="buttons">
          <Button label="Start" isPossible onPress={start} />
          <Button
            label="Send"
            isPossible={canSend(state)}
            onPress={() => {
              send("step");
            }}
          />
          <Button
            label="Redirect"
            isPossible={isWorking(state)}
            onPress={() => {
              send("now");
            }}
          />
          <Button label="Interrupt" isPossible={mayInterrupt} onPress={interrupt} />
          <Button label="Resume" isPossible={canResume(state)} onPress={resume} />
        </div>
        <p className="line" id="keys">
          Enter sends, Esc interrupts.
        </p>
        <p id="notice" role="alert">
          {notice !== "" ? notice : error?.message}
        </p>
      </form>
    </div>
  );
}

/** Drawn again only when it changed: of a long conversation that is the answer that streams. */
const Line = memo(function Line({ kind, who, text, note }: Entry): ReactElement {
  return (
    <div className={`entry ${kind}`}>
      <p className="who">
        <b>{who}</b> <i>{note}</i>
      </p>
      <p className="text">{text}</p>
    </div>
  );
});

interface ButtonProps {
  readonly label: string;
  readonly isPossible: boolean;
  readonly onPress: () => void;
}

/** Not `disabled`: a button that has the focus would lose it. The server answers what cannot be now. */
function Button({ label, isPossible, onPress }: ButtonProps): ReactElement {
  return (
    <button type="button" id={label.toLowerCase()} aria-disabled={isPossible ? undefined : true} onClick={onPress}>
      {label}
    </button>
  );
}

const app = document.getElementById("app");
if (app === null) throw new Error("The page has no app.");
const root = createRoot(app);
let visits = 0;

/** After a reload too: the whole run comes again, from its first event on. */
function visit(): void {
  linkPages();
  visits++;
  root.render(
    <StrictMode>
      <Conversation key={visits} asked={runInAddress()} />
    </StrictMode>,
  );
}

addEventListener("hashchange", visit);
visit();
