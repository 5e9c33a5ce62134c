import { describe, expect, it } from "vitest";
import { parseCommand, type Command } from "../../runtime/cli/options.ts";
import { DEFAULT_MODEL, type Surroundings } from "../../runtime/cli/settings.ts";

const terminal: Surroundings = { env: {}, cwd: "/work", keyboard: true, screen: true };
const piped: Surroundings = { ...terminal, keyboard: false, screen: false };
const offline = {
  model: { kind: "offline" },
  root: "/work",
  maxSteps: undefined,
  log: { kind: "folder", folder: "/work/.rubato/runs", ours: true },
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
      { kind: "task", task: "x", json: false, settings: { ...offline, root: "/r", maxSteps: 3 } },
    ],
    [["--help"], { kind: "help" }],
    [["-v"], { kind: "version" }],
  ])("%j", (argv, command) => {
    expect(parseCommand(argv, terminal)).toEqual(command);
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
    [["x", "--offline", "--model", "m"], /exclude each other/],
    [["x", "--model", " "], /must name a model/],
    [["x", "--model", "m"], /needs OPENAI_API_KEY/],
    [["x", "--base-url", "ftp://x"], /http/],
    [["x", "--model"], /argument missing/],
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
    ["a key", { OPENAI_API_KEY: "k" }, [], { kind: "openai", model: DEFAULT_MODEL, baseURL: undefined }],
    ["an empty key is none", { OPENAI_API_KEY: " " }, [], { kind: "offline" }],
    ["a key and --offline", { OPENAI_API_KEY: "k" }, ["--offline"], { kind: "offline" }],
    [
      "RUBATO_MODEL",
      { OPENAI_API_KEY: "k", RUBATO_MODEL: "m" },
      [],
      { kind: "openai", model: "m", baseURL: undefined },
    ],
    [
      "--model over RUBATO_MODEL",
      { OPENAI_API_KEY: "k", RUBATO_MODEL: "m" },
      ["--model", "n"],
      { kind: "openai", model: "n", baseURL: undefined },
    ],
    [
      "--base-url over OPENAI_BASE_URL",
      { OPENAI_BASE_URL: "http://a/v1" },
      ["--base-url", "http://b/v1", "--model", "m"],
      { kind: "openai", model: "m", baseURL: "http://b/v1" },
    ],
    [
      "OpenAI's own address needs no name",
      { OPENAI_BASE_URL: "https://api.openai.com/v1" },
      [],
      { kind: "openai", model: DEFAULT_MODEL, baseURL: "https://api.openai.com/v1" },
    ],
  ])("%s", (_name, env, argv, model) => {
    expect(modelOf(parseCommand(["x", ...argv], { ...terminal, env }))).toEqual(model);
  });
});
