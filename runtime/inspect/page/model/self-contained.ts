export interface Parts {
  readonly script: string;
  readonly style: string;
  /** The log, a line of JSON each. */
  readonly lines: readonly string[];
  readonly title: string;
  /** SHA-256 in base64. */
  readonly hash: (text: string) => Promise<string>;
}

/**
 * The page and a log in one file that needs no server. Its policy names its script and its style by their hashes, so whatever a log holds is no
 * script; and the log stands there with every `<` as an escape, so it cannot end the element that it stands in.
 */
export async function selfContained({ script, style, lines, title, hash }: Parts): Promise<string> {
  if (/<\/script/i.test(script) || /<\/style/i.test(style)) {
    throw new Error("The page's own files would end their elements: they cannot stand in one file.");
  }
  const policy = `default-src 'none'; script-src 'sha256-${await hash(script)}'; style-src 'sha256-${await hash(style)}'; img-src data:; base-uri 'none'; form-action 'none'`;
  const log = lines.map((line) => line.replaceAll("<", String.raw`\u003c`)).join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style id="page-style">${style}</style>
</head>
<body>
<div id="app"><p class="empty">Loading the run…</p></div>
<script type="application/x-ndjson" id="log">
${log}
</script>
<script id="page-script">${script}</script>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
