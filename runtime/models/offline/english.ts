import type { ToolIntent } from "./intent.ts";
import type { Phrases } from "./phrases.ts";
import { reasonIn } from "./results.ts";

const abilities =
  "count, list, read, search and write files, run a command, fetch a URL, calculate, tell the time, wait, ask you something, and write a long text about something";
const connect = "To connect a real model, set OPENAI_API_KEY or OPENAI_BASE_URL.";

export const english: Phrases = {
  space: " ",
  greeting:
    'Hello! I am the offline model. Ask me something like "how many .ts files are here, and what is 17*23?", and stop me whenever you like.',
  welcome: "You are welcome.",
  help: `I am the offline model, a small set of rules that runs without any endpoint. I can ${abilities}; you can stop me at any moment and go on, or say something else. ${connect}`,
  noMore: "That was all.",
  anew: "I cannot go on with that text word for word, so here is the answer again.",

  counted({ path, type }, { count, incomplete }) {
    const least = incomplete === true ? "at least " : "";
    return `There ${count === 1 && least === "" ? "is" : "are"} ${least}${count} ${files(type, count)} ${inFolder(path)}.`;
  },
  listed({ path, type }, { files: names, count, folders = [] }, { short }) {
    const some = names.slice(0, short ? 5 : 20);
    const more = count - some.length;
    const head = `${capital(inFolder(path))} there ${count === 1 ? "is" : "are"} ${count} ${files(type, count)}`;
    const below = folders.length === 0 ? "" : ` Folders: ${folders.slice(0, short ? 5 : 20).join(", ")}.`;
    if (some.length === 0) return `${head}.${below}`;
    return `${head}: ${some.join(", ")}${more > 0 ? `, and ${more} more` : ""}.${below}`;
  },
  wasRead({ path, text, totalLines }, { short }) {
    if (text === "") return `${path} is empty.`;
    const lines = text.split("\n");
    const count = totalLines ?? lines.length;
    const some = lines.slice(0, short ? 3 : 12);
    const rest = count > some.length ? `It begins:` : `It says:`;
    return `${path} has ${count} ${count === 1 ? "line" : "lines"}. ${rest}\n\n${some.join("\n").trimEnd()}`;
  },
  found({ query, path }, { matches, count }, { short }) {
    if (count === 0) return `"${query}" does not occur ${inFolder(path)}.`;
    const some = matches.slice(0, short ? 3 : 10).map(({ file, line, text }) => `${file}:${line}: ${text}`);
    const more = count > some.length ? `\nand ${count - some.length} more` : "";
    return `"${query}" occurs in ${count} ${count === 1 ? "line" : "lines"} ${inFolder(path)}:\n${some.join("\n")}${more}`;
  },
  calculated: ({ expression }, result, { short }) => (short ? `${result}.` : `${expression} = ${result}.`),
  time: ({ timeZone, local, offset, weekday }) => `In ${timeZone} it is ${weekday}, ${local} (UTC${offset}).`,
  waited: ({ seconds }) => `I waited ${seconds} ${seconds === 1 ? "second" : "seconds"}.`,
  ran({ exitCode, stdout, stderr }, { short }) {
    const how = exitCode === 0 ? "The command ran" : `The command ended with ${exitCode ?? "a signal"}`;
    const said = [stdout, stderr].map((text) => text.trimEnd()).filter((text) => text !== "");
    if (said.length === 0) return `${how} and wrote nothing.`;
    return `${how} and wrote:\n\n${linesOf(said.join("\n"), short ? 3 : 20)}`;
  },
  saved: ({ path, bytes, created }) =>
    `${created ? "I wrote" : "I replaced"} ${path}, ${bytes} ${bytes === 1 ? "byte" : "bytes"}.`,
  fetched: ({ url, status, text }, { short }) =>
    `${url} answered ${status}${text.trim() === "" ? " and no text." : `:\n\n${linesOf(text.trim(), short ? 3 : 12)}`}`,
  answered: (answer) => `You said: ${clip(answer)}`,
  left: (text) => `I left this out, as you said: "${clip(text, 80)}".`,
  other: (intent, content) => `${capital(describe(intent))} gave: ${clip(content)}`,
  failed(intent, outcome, content) {
    const what = capital(describe(intent));
    switch (outcome) {
      case "error":
        return `${what} failed: ${clip(content.replace(/^Error: /, ""))}`;
      case "skipped":
        return `${what} was skipped because the run was stopped before it started. Ask again if you still want it.`;
      case "aborted":
        return `${what} was stopped before it was finished. Ask again if you still want it.`;
      case "rejected":
        return `${what} was not approved, so I did not do it.${because(content)}`;
      case "timeout":
        return `${what} took too long and was given up.`;
      case "unknown":
        return `${what} was started, and nobody knows how it ended.`;
    }
  },
  missing: (intent, tool) => `${capital(describe(intent))} needs the tool ${tool}, which I do not have here.`,
  essay: (topic = "stopping and going on", { short }) => (short ? brief(topic) : long(topic)),
  unknown(texts) {
    const what =
      texts.length === 0 ? "" : `, and I do not understand ${texts.map((text) => `"${clip(text, 80)}"`).join(" or ")}`;
    return `I am the offline model${what}: I can ${abilities}. ${connect}`;
  },
};

/** The request as a thing that can fail. */
function describe(intent: ToolIntent): string {
  switch (intent.kind) {
    case "count":
      return `counting the ${files(intent.type, 2)} ${inFolder(intent.path)}`;
    case "list":
      return `listing the ${files(intent.type, 2)} ${inFolder(intent.path)}`;
    case "read":
      return `reading ${intent.path}`;
    case "search":
      return `searching for "${intent.query}" ${inFolder(intent.path)}`;
    case "calculate":
      return `calculating ${intent.expression}`;
    case "time":
      return intent.zone === undefined ? "asking for the time" : `asking for the time in ${intent.zone}`;
    case "wait":
      return `waiting ${intent.seconds} seconds`;
    case "run":
      return `running ${clip([intent.command, ...intent.args].join(" "), 80)}`;
    case "save":
      return `writing ${intent.path}`;
    case "fetch":
      return `fetching ${clip(intent.url, 80)}`;
    case "ask":
      return `asking "${clip(intent.question, 80)}"`;
  }
}

function files(type: string | undefined, count: number): string {
  return `${type === undefined ? "" : `.${type} `}${count === 1 ? "file" : "files"}`;
}

function inFolder(path: string): string {
  return path === "." ? "in this folder" : `in ${path}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function clip(text: string, length = 300): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length).trimEnd()}...` : line;
}

function because(content: string): string {
  const reason = reasonIn(content);
  return reason === undefined ? "" : ` You said: "${clip(reason)}".`;
}

/** The first lines of an output. */
function linesOf(text: string, most: number): string {
  const lines = text.split("\n");
  return lines.length > most ? `${lines.slice(0, most).join("\n")}\nand ${lines.length - most} more lines` : text;
}

function brief(topic: string): string {
  return `In short, about ${topic}: look at one real example first, name its parts, and ask what would change if one of them were missing. What is left after that is usually the heart of it. I am the offline model, so this is a pattern and no knowledge; a real model can say more.`;
}

function long(topic: string): string {
  return [
    `This is a longer text about ${topic}. I am the offline model and know no facts about it, so take what follows as a way to think about a subject, and as something that is long enough to be stopped in the middle.`,
    `The first step with ${topic} is to look at one concrete example. General statements are easy to write and hard to check, while an example has edges: it happened at some place and at some time, it had a cause, and somebody cared how it ended. Write down what can be seen before you write down what it means. Most disagreements about a subject turn out to be disagreements about which example people had in mind.`,
    `The second step is to name the parts. Whatever ${topic} is made of, some of it stays the same while the rest changes, and it pays to know which is which. Ask of each part what would happen without it. If nothing would happen, it was decoration. If everything would stop, you have found a load-bearing wall, and the next question is what holds that wall up.`,
    `The third step is to follow it through time. Things begin, go on, are interrupted, and end, and the interesting moment is seldom the beginning. What happens to ${topic} when it is stopped halfway? Does it keep what was there, does it start again, or does it go on from the same place as if nothing had happened? The answer says more about how a thing is built than any description of its good days.`,
    `The last step is to say it in one sentence and to see what was lost. A summary of ${topic} that leaves out nothing is not a summary, and one that leaves out the surprise is not worth having. Keep the surprise, drop the rest, and give the sentence to somebody who disagrees with you.`,
    `That is all I can honestly say. For facts about ${topic}, connect a real model; for practice in stopping, going on and changing direction, I will do.`,
  ].join("\n\n");
}
