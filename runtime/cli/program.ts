import { createRequire } from "node:module";
import { messageOf, RubatoError } from "../errors.ts";
import { begunWith } from "./begun-with.ts";
import { chat } from "./chat.ts";
import { EXIT } from "./exit-code.ts";
import { findRun, lastRun, needLog } from "./find-run.ts";
import { help, helpOf } from "./help.ts";
import type { Io } from "./io.ts";
import { openLog } from "./open-log.ts";
import { parseCommand, type PickUp } from "./options.ts";
import { MAX_PIPED, readAll } from "./piped.ts";
import { goOnAs, processIo } from "./process-io.ts";
import { oneLine } from "./sanitizer.ts";
import type { Settings } from "./settings.ts";
import { prepare } from "./setup.ts";
import { onSignal } from "./signals.ts";
import { runTask } from "./one-shot.ts";
import { createWriter, type Writer } from "./writer.ts";

/** Runs the command line and answers the exit code. */
export async function program(argv: readonly string[]): Promise<number> {
  let unread = (): void => {};
  const out = createWriter(process.stdout, () => {
    unread();
  });
  const err = createWriter(process.stderr);
  const screen = process.stdout.isTTY && process.env["TERM"] !== "dumb";
  const onUnread = (stop: () => void): void => {
    unread = stop;
    if (out.closed) stop();
  };

  async function task(text: string, json: boolean, settings: Settings): Promise<number> {
    if (text.trim() === "") return wrong("The task is empty. Try rubato --help.");
    const setup = await prepare(settings, openLog(settings.log));
    if (typeof setup === "string") return wrong(setup);
    const { agent, notice, warning } = setup;
    for (const text of [notice, warning]) if (text !== undefined) await err.write(`${text}\n`);
    const { askLine } = processIo({ settings, out, err, screen, onUnread });
    const goOn = settings.log.kind === "memory" ? undefined : goOnAs(settings);
    return runTask({ agent, task: text.trimEnd(), json, out, err, onSignal, onUnread, goOn, askLine });
  }

  async function talkTo(settings: Settings, pickUp: PickUp | undefined): Promise<number> {
    const io = processIo({ settings, out, err, screen, onUnread });
    // Before a folder is made and before the terminal is taken: what cannot be picked up is one sentence.
    const runId = pickUp === undefined ? undefined : await pickedRun(io, pickUp.run);
    const opened = openLog(settings.log);
    const setup = await prepare(settings, opened, runId === undefined ? undefined : await begunWith(opened, runId));
    if (typeof setup === "string") return wrong(setup);
    const { agent, log } = setup;
    const pickedUp =
      runId === undefined
        ? undefined
        : {
            owned: (await log.head(runId)).owned,
            run: await agent.open(runId),
            allowChanged: pickUp?.allowChanged === true,
          };
    return chat({ setup, pickedUp, goOn: settings.log.kind === "memory" ? undefined : goOnAs(settings) });
  }

  async function wrong(message: string): Promise<number> {
    await err.write(`rubato: ${oneLine(message, 1_000)}\n`);
    return EXIT.usage;
  }

  try {
    const around = { env: process.env, cwd: process.cwd(), keyboard: process.stdin.isTTY, screen };
    const command = parseCommand(argv, around);
    switch (command.kind) {
      case "help":
        await out.write(command.command === undefined ? help() : helpOf(command.command));
        return EXIT.done;
      case "version":
        await out.write(`${version()}\n`);
        return EXIT.done;
      case "usage": {
        const about = command.command === undefined ? "" : `${command.command} `;
        return await wrong(`${command.message} Try rubato ${about}--help.`);
      }
      case "task":
        return await task(command.task, command.json, command.settings);
      case "piped": {
        const text = await readAll(process.stdin);
        if (text === undefined) return await wrong(`The task is longer than ${MAX_PIPED} bytes.`);
        return await task(text, command.json, command.settings);
      }
      case "job":
        return await command.job(processIo({ settings: command.settings, out, err, screen, onUnread }));
      case "chat": {
        return await talkTo(command.settings, command.pickUp);
      }
    }
  } catch (error) {
    return await crashed(error, err);
  } finally {
    await out.flush();
    await err.flush();
  }
}

async function pickedRun(io: Io, word: string | undefined): Promise<string> {
  const log = needLog(io);
  return word === undefined ? (await lastRun(io, log)).runId : findRun(io, log, word);
}

/** One sentence, and the trace for those who ask for it. What was asked for in vain counts as wrong usage. */
async function crashed(error: unknown, err: Writer): Promise<number> {
  const trace = process.env["DEBUG"] === "rubato" && error instanceof Error ? `${error.stack ?? ""}\n` : "";
  await err.write(`rubato: ${oneLine(messageOf(error), 1_000)}\n${trace}`);
  const asked = error instanceof RubatoError && (error.code === "invalid_option" || error.code === "invalid_input");
  return asked ? EXIT.usage : EXIT.failed;
}

/** By the package's own name, so that it is found from the sources and from `dist`. */
function version(): string {
  const described: unknown = createRequire(import.meta.url)("rubato/package.json");
  const known = typeof described === "object" && described !== null && "version" in described;
  return known ? String(described.version) : "unknown";
}
