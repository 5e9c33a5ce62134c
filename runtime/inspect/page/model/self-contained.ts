export interface Parts {
  readonly script: string;
  readonly style: string;
  /** SHA-256 in base64, of the UTF-8 bytes of each. */
  readonly scriptHash: string;
  readonly styleHash: string;
  /** The log, a line of JSON each. */
  readonly lines: Iterable<string>;
  readonly title: string;
}

/** Of the log in one element, in UTF-16 units, give or take a line: whoever reads it has it as one string, and such have an end. */
const ELEMENT = 8 * 1_048_576;

/**
 * The page and a log in one file that needs no server, in pieces: a long run in one string would be more than a browser can hold. Its policy names
 * its script and its style by their hashes, so whatever a log holds is no script; and the log stands there with every `<` as an escape, so it cannot
 * end the element that it stands in, nor open the comment behind which nothing ends it.
 */
export function* selfContained(parts: Parts): Generator<string, void, undefined> {
  const { script, style, scriptHash, styleHash, lines, title } = parts;
  // The page's own text too: behind "<!--" and "<script" the parser takes the next "</script" for the end of that. Not written as it is read: this
  // file is part of that text.
  if (/<\/script|<!-{2}/i.test(script) || /<\/style/i.test(style)) {
    throw new Error("The page's own files would end their elements: they cannot stand in one file.");
  }
  const policy = `default-src 'none'; script-src 'sha256-${scriptHash}'; style-src 'sha256-${styleHash}'; img-src data:; base-uri 'none'; form-action 'none'`;
  yield `<!doctype html>
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
${OPEN}`;
  let length = 0;
  for (const line of lines) {
    if (length > ELEMENT) {
      yield CLOSE + OPEN;
      length = 0;
    }
    // Not replaced one by one: of a million that would take a second.
    const text = `${line.split("<").join(String.raw`\u003c`)}\n`;
    length += text.length;
    yield text;
  }
  yield `${CLOSE}<script id="page-script">${script}</script>
</body>
</html>
`;
}

const OPEN = '<script type="application/x-ndjson" class="log">\n';
const CLOSE = "</script>\n";

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
