import { describe, expect, it } from "vitest";
import { LOG_COMMANDS } from "../../runtime/cli/commands/table.ts";
import { help, helpOf } from "../../runtime/cli/help.ts";
import { parseCommand, type Command } from "../../runtime/cli/options.ts";
import { DEFAULT_MODEL, type Surroundings } from "../../runtime/cli/settings.ts";

const terminal: Surroundings = { env: {}, cwd: "/home/ann", keyboard: true, screen: true };
const piped: Surroundings = { ...terminal, keyboard: false, screen: false };
const offline = {
  model: { kind: "offline" },
  root: "/home/ann",
  tools: undefined,
  yes: false,
  maxSteps: undefined,
  budget: {},
  price: undefined,
  log: { kind: "folder", folder: "/home/ann/.rubato/runs", ours: true },
  again: { log: "", agent: "" },
};

function modelOf(command: Command): unknown {
  return "settings" in command ? command.settings.model : command;
}

describe("the command", () => {
  it.each([
    [[], { kind: "chat", settings: offline, pickUp: undefined }],
    [["chat"], { kind: "chat", settings: offline, pickUp: undefined }],
    [["say hi"], { kind: "task", task: "say hi", json: false, settings: offline }],
    [["say", "hi"], { kind: "task", task: "say hi", json: false, settings: offline }],
    [["run", "show"], { kind: "task", task: "show", json: false, settings: offline }],
    [["run", "x", "--json"], { kind: "task", task: "x", json: true, settings: offline }],
    [["--", "-x"], { kind: "task", task: "-x", json: false, settings: offline }],
    [
      ["x", "--root", "/r", "--max-steps", "3"],
      {
        kind: "task",
        task: "x",
        json: false,
        settings: { ...offline, root: "/r", maxSteps: 3, again: { log: "", agent: " --root /r --max-steps 3" } },
      },
    ],
    [
      [
        "x",
        "--tools",
        "read",
        "-y",
        "--max-tokens",
        "900,4000",
        "--max-cost",
        "0.5",
        "--price",
        "1,2.5",
        "--timeout",
        "10m",
      ],
      {
        kind: "task",
        task: "x",
        json: false,
        settings: {
          ...offline,
          tools: "read",
          yes: true,
          budget: { outputTokens: 900, inputTokens: 4_000, cost: 0.5, wallMs: 600_000 },
          price: { input: 1, output: 2.5 },
          again: { log: "", agent: " --tools read --price 1,2.5" },
        },
      },
    ],
    [
      ["x", "--log", "my runs", "--offline", "--root", "it's"],
      {
        kind: "task",
        task: "x",
        json: false,
        settings: {
          ...offline,
          root: "it's",
          log: { kind: "folder", folder: "my runs", ours: false },
          again: { log: " --log 'my runs'", agent: " --offline --root 'it'\\''s'" },
        },
      },
    ],
    [
      ["x", "--log=-x", "--root", "two\nlines"],
      {
        kind: "task",
        task: "x",
        json: false,
        settings: {
          ...offline,
          root: "two\nlines",
          log: { kind: "folder", folder: "-x", ours: false },
          again: { log: " --log=-x", agent: "" },
        },
      },
    ],
    [["--help"], { kind: "help" }],
    [["-v"], { kind: "version" }],
  ])("%j", (argv, command) => {
    expect(parseCommand(argv, terminal)).toEqual(command);
  });

  it.each([
    [["run", "show", "me", "a"], "task"],
    [["show me a"], "task"],
    [["show", "me"], "job"],
    [["--log", "/x", "runs"], "job"],
    [["help"], "help"],
    [["help", "runs"], "help"],
    [["fork", "--help"], "help"],
    [["help me with this"], "task"],
  ])("%j is a %s", (argv, kind) => {
    expect(parseCommand(argv, terminal).kind).toBe(kind);
  });

  it("goes on with the last run, or with a certain one", () => {
    const pickUp = { run: undefined, allowChanged: false };
    expect(parseCommand(["--resume"], terminal)).toMatchObject({ kind: "chat", pickUp });
    expect(parseCommand(["chat", "--resume", "run_a"], terminal)).toMatchObject({
      pickUp: { ...pickUp, run: "run_a" },
    });
    expect(parseCommand(["--resume", "--allow-changed"], terminal)).toMatchObject({ pickUp: { allowChanged: true } });
    expect(parseCommand(["--resume"], piped)).toMatchObject({
      message: expect.stringContaining("rubato resume --last"),
    });
  });

  it.each([
    [["--log", "/x"], {}, { kind: "folder", folder: "/x", ours: false }],
    [[], { RUBATO_LOG: "/y" }, { kind: "folder", folder: "/y", ours: false }],
    [["--log", "/x"], { RUBATO_LOG: "/y" }, { kind: "folder", folder: "/x", ours: false }],
    [["--no-log"], { RUBATO_LOG: "/y" }, { kind: "memory" }],
    [["--log", "none"], {}, { kind: "memory" }],
    [[], { RUBATO_LOG: "none" }, { kind: "memory" }],
  ])("keeps runs where it is told to: %j %j", (argv, env, log) => {
    expect(parseCommand(argv, { ...terminal, env })).toMatchObject({ settings: { log } });
  });

  it("help names every command", () => {
    for (const command of LOG_COMMANDS) {
      expect(help()).toContain(`rubato ${command.name} `);
      expect(helpOf(command)).toContain(command.usage);
    }
  });

  it("reads the task from stdin where there are no keys", () => {
    expect(parseCommand([], piped)).toEqual({ kind: "piped", json: false, settings: offline });
    expect(parseCommand(["run"], piped).kind).toBe("piped");
    expect(parseCommand(["x"], piped).kind).toBe("task");
  });

  it.each([
    [["run"], /needs a task/],
    [["--json"], /--json needs a task/],
    [["chat", "x"], /takes no task/],
    [[""], /empty/],
    [["x", "--max-steps", "0"], /from 1 to/],
    [["x", "--max-steps", "many"], /"many"/],
    [["x", "--root", ""], /name a folder/],
    [["x", "--tools", "some"], /--tools must be read or all, got "some"/],
    [["x", "--max-tokens", "1.5"], /--max-tokens must be a number/],
    [["x", "--max-cost", "much", "--offline"], /--max-cost must be a number/],
    [["x", "--max-cost", "1", "--base-url", "http://b", "--model", "m"], /--max-cost needs --price/],
    [["x", "--price", "1"], /--price must be/],
    [["x", "--timeout", "10"], /--timeout must be/],
    [["resume", "r", "--max-tokens", "9"], /"resume" has no option --max-tokens/],
    [["x", "--base-url", "http://b", "--model", "a,,b"], /has no name/],
    [["x", "--offline", "--model", "m"], /exclude each other/],
    [["x", "--model", " "], /must name a model/],
    [["x", "--model", "m"], /needs OPENAI_API_KEY/],
    [["x", "--base-url", "ftp://x"], /http/],
    [["x", "--model"], /argument missing/],
    [["x", "--speed", "2"], /no option --speed/],
    [["chat", "--json"], /no option --json/],
    [["--resume", "a", "b"], /takes one run/],
    [["--resume", "--no-log"], /needs a log/],
    [["--allow-changed"], /no option --allow-changed/],
    [["chat", "--allow-changed"], /goes with --resume/],
    [["--no-log", "--log", "x", "y"], /exclude each other/],
    [["worker"], /not there yet/],
  ])("refuses %j", (argv, sentence) => {
    const command = parseCommand(argv, terminal);
    expect(command.kind).toBe("usage");
    expect(command.kind === "usage" ? command.message : "").toMatch(sentence);
  });

  it("has no chat without a screen", () => {
    expect(parseCommand([], { ...terminal, screen: false }).kind).toBe("usage");
    expect(parseCommand(["chat"], { ...terminal, keyboard: false }).kind).toBe("usage");
  });
});

describe("the model", () => {
  it.each([
    ["no key, no endpoint", {}, [], { kind: "offline" }],
    ["a key", { OPENAI_API_KEY: "k" }, [], { kind: "openai", models: [DEFAULT_MODEL], baseURL: undefined }],
    ["an empty key is none", { OPENAI_API_KEY: " " }, [], { kind: "offline" }],
    ["a key and --offline", { OPENAI_API_KEY: "k" }, ["--offline"], { kind: "offline" }],
    [
      "RUBATO_MODEL",
      { OPENAI_API_KEY: "k", RUBATO_MODEL: "m" },
      [],
      { kind: "openai", models: ["m"], baseURL: undefined },
    ],
    [
      "--model over RUBATO_MODEL",
      { OPENAI_API_KEY: "k", RUBATO_MODEL: "m" },
      ["--model", "n"],
      { kind: "openai", models: ["n"], baseURL: undefined },
    ],
    [
      "--base-url over OPENAI_BASE_URL",
      { OPENAI_BASE_URL: "http://a/v1" },
      ["--base-url", "http://b/v1", "--model", "m"],
      { kind: "openai", models: ["m"], baseURL: "http://b/v1" },
    ],
    [
      "OpenAI's own address needs no name",
      { OPENAI_BASE_URL: "https://api.openai.com/v1" },
      [],
      { kind: "openai", models: [DEFAULT_MODEL], baseURL: "https://api.openai.com/v1" },
    ],
  ])("%s", (_name, env, argv, model) => {
    expect(modelOf(parseCommand(["x", ...argv], { ...terminal, env }))).toEqual(model);
  });
});
