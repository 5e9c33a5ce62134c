/** Characters in a pattern, and alternatives that its braces may unfold to. Both bound the work that a model can ask for. */
const maxLength = 200;
const maxAlternatives = 32;

/**
 * Compiles a glob: `*` and `?` inside one folder or file name, `**` for any number of folders, `{a,b}` for alternatives.
 * A pattern without `/` is compared with the file's name only, one with `/` with the whole relative path.
 * Matching costs at most pattern length times path length: no regular expression is built, so no pattern can make it explode.
 * @throws {Error} When the pattern is too long or unfolds to too many alternatives.
 */
export function compileGlob(pattern: string): (path: string) => boolean {
  if (pattern.length > maxLength) throw new Error(`The pattern is longer than ${maxLength} characters. Shorten it.`);
  const alternatives = unfold(pattern.replace(/^\.\//, "")).map((alternative) => alternative.split("/"));
  return (path) => {
    const parts = path.split("/");
    const name = parts.slice(-1);
    return alternatives.some((pattern) =>
      matchList(pattern, pattern.length === 1 && pattern[0] !== "**" ? name : parts),
    );
  };
}

/** True when the pattern asks for files in folders below. */
export function reachesBelow(pattern: string): boolean {
  return pattern.includes("/") || pattern.includes("**");
}

function unfold(pattern: string): string[] {
  let open = [pattern];
  const whole: string[] = [];
  while (open.length > 0) {
    if (open.length + whole.length > maxAlternatives) {
      throw new Error(`The pattern unfolds to more than ${maxAlternatives} alternatives. Use fewer braces.`);
    }
    const next: string[] = [];
    for (const text of open) {
      const braces = /\{([^{}]*)\}/.exec(text);
      if (braces === null) {
        whole.push(text);
        continue;
      }
      const before = text.slice(0, braces.index);
      const after = text.slice(braces.index + braces[0].length);
      for (const choice of (braces[1] ?? "").split(",")) next.push(before + choice + after);
    }
    open = next;
  }
  return whole;
}

/** Folders against folders: `**` stands for any number of them. */
function matchList(pattern: readonly string[], parts: readonly string[]): boolean {
  return matchStar(
    pattern.length,
    parts.length,
    (at) => pattern[at] === "**",
    (at, part) => matchName(pattern[at] ?? "", parts[part] ?? ""),
  );
}

/** One name against one name: `*` stands for any number of characters. */
function matchName(pattern: string, name: string): boolean {
  return matchStar(
    pattern.length,
    name.length,
    (at) => pattern[at] === "*",
    (at, char) => pattern[at] === "?" || pattern[at] === name[char],
  );
}

/** The classic match with one star to fall back to: on a mismatch the last star takes one item more. Never exponential. */
function matchStar(
  patternLength: number,
  length: number,
  isStar: (at: number) => boolean,
  fits: (at: number, item: number) => boolean,
): boolean {
  let at = 0;
  let item = 0;
  let star = -1;
  let starItem = 0;
  while (item < length) {
    if (at < patternLength && isStar(at)) {
      star = at++;
      starItem = item;
    } else if (at < patternLength && fits(at, item)) {
      at++;
      item++;
    } else if (star >= 0) {
      at = star + 1;
      item = ++starItem;
    } else return false;
  }
  while (at < patternLength && isStar(at)) at++;
  return at === patternLength;
}
