/** The words of a command as a person writes it, quotation marks taken off. No shell: `*`, `|` and `>` are words like any other. */
export function wordsOfCommand(line: string): string[] {
  const words: string[] = [];
  for (const [word] of line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"']|["'])+/g)) {
    words.push(
      word.replaceAll(/"([^"]*)"|'([^']*)'/g, (_quoted, double?: string, single?: string) => double ?? single ?? ""),
    );
  }
  return words;
}
