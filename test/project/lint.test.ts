import { beforeAll, describe, expect, it } from "vitest";
import { linted, type Probe } from "./linted.ts";

// Rules that the rest of the code relies on are seen to refuse: a rule that is switched off says nothing either.

type Case = readonly [file: string, code: string, rule: string];

const later = "async function later(): Promise<number> {\n  return 1;\n}";
const floors = ["tools", "runtime", "runtime/cli", "demos", "test"];
const floating = floors.flatMap((floor): Case[] => [
  [`${floor}/left.ts`, `${later}\nexport function begin(): void {\n  later();\n}`, "no-floating-promises"],
  [`${floor}/voided.ts`, `${later}\nexport function begin(): void {\n  void later();\n}`, "no-floating-promises"],
]);

const REFUSED: readonly Case[] = [
  ...floating,
  [
    "runtime/misused.ts",
    `${later}\nexport function begin(): number {\n  return later() ? 1 : 2;\n}`,
    "no-misused-promises",
  ],
  ["runtime/round.ts", 'import { trip } from "./trip.ts";\nexport const round = (): number => trip();', "no-cycle"],
  ["runtime/trip.ts", 'import { round } from "./round.ts";\nexport const trip = (): number => round();', "no-cycle"],
  ["runtime/far/a.ts", 'import { b } from "../b.ts";\nexport const a = (): number => b();', "no-cycle"],
  ["runtime/b.ts", 'import { c } from "./c.ts";\nexport const b = (): number => c();', "no-cycle"],
  ["runtime/c.ts", 'import { a } from "./far/a.ts";\nexport const c = (): number => a();', "no-cycle"],
  ["runtime/any.ts", "export const any = (value: any): unknown => value;", "no-explicit-any"],
  ["runtime/sure.ts", "export const sure = (value?: { n: number }): number => value!.n;", "no-non-null-assertion"],
  ["runtime/cast.ts", "export const cast = (value: unknown): number => value as number;", "consistent-type-assertions"],
  ["runtime/default.ts", "export default 1;", "no-default-export"],
  ["runtime/thrown.ts", 'export function fail(): never {\n  throw "text";\n}', "only-throw-error"],
  ["runtime/said.ts", 'export const say = (): void => {\n  console.log("said");\n};', "no-console"],
  [
    "runtime/missed.ts",
    'export function missed(kind: "a" | "b"): void {\n  switch (kind) {\n    case "a":\n      break;\n  }\n}',
    "switch-exhaustiveness-check",
  ],
];

const ALLOWED: readonly Probe[] = [
  [
    "runtime/awaited.ts",
    `${later}\nexport async function begin(): Promise<number> {\n  return (await later()) + 1;\n}`,
  ],
  [
    "runtime/caught.ts",
    `${later}\nexport function begin(failed: (error: unknown) => void): void {\n  later().catch(failed);\n}`,
  ],
  ["runtime/down.ts", 'import { round } from "./round.ts";\nexport const down = (): number => round();'],
];

let said = (_file: string): string => "";

beforeAll(async () => {
  said = await linted([...REFUSED, ...ALLOWED], { typeAware: true });
});

describe("the linter", () => {
  it.for(REFUSED)("refuses %s", ([file, , rule]) => {
    expect(said(file)).toContain(`(${rule})`);
  });

  it.for(ALLOWED)("lets %s through", ([file]) => {
    expect(said(file)).toBe("");
  });
});
