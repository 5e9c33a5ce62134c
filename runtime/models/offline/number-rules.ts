import { run, toExpression } from "./arithmetic.ts";
import type { Read, Row } from "./rule.ts";

/** An operator that the run does not reach: it was not the whole of the expression. */
const unfinished = String.raw`(?<unfinished>\s*(?:再|然后)*[加减乘除])?`;
/** Where nothing else stands before, or behind, but what other rules took. */
const first = String.raw`(?:(?<first>(?<=(?:^|\n)[\s,，;；]*(?:and|then|也|和)?\s*))|)`;
const last = String.raw`(?:(?<last>(?=[\s.?!？。！]*(?:please|thanks)?[\s.?!？。！]*(?:$|[\n,;，；]|\band\b|和)))|)`;
const number = String.raw`-?\d+(?:,\d{3})*(?:\.\d+)?`;

const calculate: Read = ({ run, lead, asked, first, last, unfinished }) => {
  if (unfinished !== undefined) return undefined;
  const wanted = lead !== undefined || asked !== undefined || (first !== undefined && last !== undefined);
  const expression = toExpression(run ?? "", wanted);
  return expression === undefined ? undefined : { kind: "calculate", expression };
};
const root: Read = ({ number }) => ({ kind: "calculate", expression: `sqrt(${number ?? ""})` });
const square: Read = ({ number }) => ({ kind: "calculate", expression: `${number ?? ""}^2` });
const between =
  (sign: string): Read =>
  ({ numbers, left, right }) => {
    const all = numbers?.match(new RegExp(number, "g")) ?? [left ?? "", right ?? ""];
    return { kind: "calculate", expression: all.map((text) => text.replaceAll(",", "")).join(` ${sign} `) };
  };
const percent: Read = ({ part, whole }) => ({ kind: "calculate", expression: `${part ?? ""}% * ${whole ?? ""}` });

export const numberRules: readonly Row[] = [
  [String.raw`\b(?:what(?:'s|’s|\s+is)\s+)?(?:the\s+)?square\s+root\s+of\s+(?<number>\d+(?:\.\d+)?)`, root],
  [String.raw`(?<number>\d+(?:\.\d+)?)\s*的平方根(?:是多少|等于多少)?`, root],
  [String.raw`\b(?:what(?:'s|’s|\s+is)\s+)?(?<number>\d+(?:\.\d+)?)\s+squared`, square],
  [String.raw`(?<number>\d+(?:\.\d+)?)\s*的平方(?:是多少|等于多少)?`, square],
  [String.raw`(?<whole>\d+(?:\.\d+)?)\s*的\s*(?<part>\d+(?:\.\d+)?)\s*%(?:是多少|等于多少)?`, percent],

  [
    String.raw`\b(?:add(?:\s+up)?|(?:what(?:'s|’s|\s+is)\s+)?the\s+sum\s+of)\s+(?<numbers>${number}(?:(?:\s*,\s*(?:and\s+)?|\s+(?:and|to|with)\s+)${number})+)`,
    between("+"),
  ],
  [
    String.raw`\b(?:multiply|(?:what(?:'s|’s|\s+is)\s+)?the\s+product\s+of)\s+(?<left>${number})\s+(?:by|and|with|times)\s+(?<right>${number})`,
    between("*"),
  ],
  [String.raw`\bdivide\s+(?<left>${number})\s+by\s+(?<right>${number})`, between("/")],
  [String.raw`\bsubtract\s+(?<right>${number})\s+from\s+(?<left>${number})`, between("-")],

  [
    String.raw`(?<lead>\b(?:what(?:'s|’s|\s+is|\s+about)|calculate|compute|evaluate|solve|how\s+much\s+is|work\s+out)\s+|(?:计算|算)(?:一下|下)?\s*)?${first}(?<run>${run})${unfinished}(?<asked>\s*(?:=|等于多少|等于几|等于|是多少|得多少|得几))?${last}`,
    calculate,
  ],
];
