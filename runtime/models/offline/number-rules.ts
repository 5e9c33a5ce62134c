import { run, toExpression } from "./arithmetic.ts";
import type { Read, Row } from "./rule.ts";

const expression = String.raw`(?<run>${run})`;

const calculate: Read = ({ run }) => {
  const expression = toExpression(run ?? "");
  return expression === undefined ? undefined : { kind: "calculate", expression };
};
const root: Read = ({ number }) => ({ kind: "calculate", expression: `sqrt(${number ?? ""})` });
const square: Read = ({ number }) => ({ kind: "calculate", expression: `${number ?? ""}^2` });

export const numberRules: readonly Row[] = [
  [String.raw`\b(?:what(?:'s|’s|\s+is)\s+)?(?:the\s+)?square\s+root\s+of\s+(?<number>\d+(?:\.\d+)?)`, root],
  [String.raw`(?<number>\d+(?:\.\d+)?)\s*的平方根(?:是多少|等于多少)?`, root],
  [String.raw`\b(?:what(?:'s|’s|\s+is)\s+)?(?<number>\d+(?:\.\d+)?)\s+squared`, square],
  [String.raw`(?<number>\d+(?:\.\d+)?)\s*的平方(?:是多少|等于多少)?`, square],
  [
    String.raw`(?:\b(?:what(?:'s|’s|\s+is)|calculate|compute|evaluate|how\s+much\s+is|work\s+out)\s+|(?:计算|算)(?:一下)?\s*)?${expression}(?:=|等于多少|等于几|等于|是多少|得多少|得几)?`,
    calculate,
  ],
];
