import type { Json } from "../../machines/events.ts";

/**
 * What a person is asked to approve is shown as it is, to the last character: nothing in it may reorder it, hide in it, or reach the terminal as a
 * command. Such characters stand there as escapes. Text that holds a backslash may look like an escape; what is an escape never looks like text.
 */

/** Controls, formats (bidi, zero width, tags), halves of characters, private and unassigned ones, separators, fillers, blanks that are no space. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}|\u2800/gu;

/** One line, with every character that cannot be seen as an escape of JSON. */
export function expose(text: string): string {
  return text.replaceAll(UNSEEN, (character) =>
    character === "\t"
      ? String.raw`\t`
      : Array.from(
          { length: character.length },
          (_none, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`,
        ).join(""),
  );
}

/** JSON that reads back as the same value, in lines where it is indented. */
export function exposedJson(value: Json, indent = 0): string {
  return JSON.stringify(value, undefined, indent).split("\n").map(expose).join("\n");
}

/** Longest value that stands on the line of its name, in UTF-16 units. */
const SHORT = 100;

/** The arguments of a call as lines, all of them: a text of several lines as such. */
export function argumentLines(args: Json | undefined): string[] {
  if (args === undefined) return ["(arguments that cannot be read)"];
  if (typeof args !== "object" || args === null || Array.isArray(args)) return exposedJson(args, 2).split("\n");
  const fields = Object.entries(args);
  return fields.length === 0 ? ["(no arguments)"] : fields.flatMap(([key, value]) => fieldLines(key, value));
}

function fieldLines(key: string, value: Json): string[] {
  const name = /^\w+$/.test(key) ? key : exposedJson(key);
  if (typeof value === "string" && value.includes("\n")) {
    return [`${name}:`, ...value.split("\n").map((line) => `│ ${expose(line)}`)];
  }
  const flat = exposedJson(value);
  if (typeof value !== "object" || flat.length <= SHORT) return [`${name}: ${flat}`];
  const [first = "", ...rest] = exposedJson(value, 2).split("\n");
  return [`${name}: ${first}`, ...rest];
}
