/**
 * A strict reader of the Prometheus text format 0.0.4, written from its specification and not from what writes it. Throws at the first line that is
 * not as it must be: names, escapes, values, one HELP and one TYPE per family and both before its samples, families in one piece, no sample twice.
 */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*/;
const VALUE = /^(?:NaN|[+-]?Inf|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;
const TYPES = ["counter", "gauge", "summary", "histogram", "untyped"];

export function parsePrometheus(text: string): ReadonlyMap<string, MetricFamily> {
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let open = "";
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  for (const [index, line] of text.slice(0, -1).split("\n").entries()) {
    const fail = (why: string): never => {
      throw new Error(`line ${index + 1}: ${why}: ${line}`);
    };
    if (line === "") continue;
    if (line.startsWith("#")) {
      const [, kind = "", name = "", rest = ""] =
        /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? fail("a comment of no kind");
      if (NAME.exec(name)?.[0] !== name) fail("a wrong name");
      if (name !== open) {
        if (families.has(name)) fail("a family in two pieces");
        families.set(name, { type: "", help: "", samples: [] });
        open = name;
      }
      const family = families.get(name) ?? fail("no family");
      if (family.samples.length > 0) fail("said behind its samples");
      if (kind === "HELP") {
        if (family.help !== "") fail("a second HELP");
        if (/\\(?![\\n])/.test(rest)) fail("a wrong escape");
        family.help = rest;
      } else {
        if (family.type !== "") fail("a second TYPE");
        if (!TYPES.includes(rest)) fail("a wrong type");
        family.type = rest;
      }
      continue;
    }
    const sample = readSample(line, fail);
    const family = families.get(open) ?? fail("a sample of no family");
    if (family.type === "" || family.help === "") fail("a sample before its TYPE and HELP");
    checkBelongs(sample, open, family.type, fail);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
    if (seen.has(key)) fail("a sample twice");
    seen.add(key);
    family.samples.push(sample);
  }
  return families;
}

type Fail = (why: string) => never;

function readSample(line: string, fail: Fail): Sample {
  const name = NAME.exec(line)?.[0] ?? fail("no name");
  let rest = line.slice(name.length);
  const labels: Record<string, string> = {};
  if (rest.startsWith("{")) {
    rest = rest.slice(1);
    while (!rest.startsWith("}")) {
      const label = LABEL.exec(rest)?.[0] ?? fail("no label");
      const quoted = /^="((?:[^"\\\n]|\\[\\"n])*)"/.exec(rest.slice(label.length)) ?? fail("a wrong label value");
      if (Object.hasOwn(labels, label)) fail("a label twice");
      labels[label] = (quoted[1] ?? "").replace(/\\(.)/g, (_all, escaped) => (escaped === "n" ? "\n" : escaped));
      rest = rest.slice(label.length + quoted[0].length);
      if (rest.startsWith(",")) rest = rest.slice(1);
      else if (!rest.startsWith("}")) fail("labels that do not end");
    }
    rest = rest.slice(1);
  }
  const [, value = ""] = /^ (\S+)(?: -?\d+)?$/.exec(rest) ?? fail("no value");
  if (!VALUE.test(value)) fail("a wrong value");
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function checkBelongs({ name, labels, value }: Sample, family: string, type: string, fail: Fail): void {
  if (type === "summary") {
    if (![family, `${family}_sum`, `${family}_count`].includes(name)) fail("a sample of another family");
    const { quantile } = labels;
    if ((name === family) !== (quantile !== undefined)) fail("a quantile where none belongs");
    if (quantile !== undefined && !(Number(quantile) >= 0 && Number(quantile) <= 1)) fail("a wrong quantile");
    return;
  }
  if (name !== family) fail("a sample of another family");
  if (type === "counter" && !(value >= 0)) fail("a counter below 0");
}
