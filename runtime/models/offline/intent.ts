/** What the offline model can be asked for. A closed list: whatever is not one of these is `unknown`. */
export type Intent =
  | { readonly kind: "count"; readonly path: string; readonly type?: string }
  | { readonly kind: "list"; readonly path: string; readonly type?: string; readonly recursive?: true }
  | { readonly kind: "read"; readonly path: string }
  | { readonly kind: "search"; readonly query: string; readonly path: string }
  | { readonly kind: "calculate"; readonly expression: string }
  | { readonly kind: "time"; readonly zone?: string }
  | { readonly kind: "wait"; readonly seconds: number }
  /** Without a topic: about nothing in particular. */
  | { readonly kind: "write"; readonly topic?: string }
  | { readonly kind: "greet" }
  | { readonly kind: "thanks" }
  | { readonly kind: "help" }
  | { readonly kind: "unknown"; readonly text: string };

/** The intents that are answered with a tool's result. */
export type ToolIntent = Extract<
  Intent,
  { readonly kind: "count" | "list" | "read" | "search" | "calculate" | "time" | "wait" }
>;

export type Language = "en" | "zh";

/** The language of a text, or undefined when it has no words (`17*23`). */
export function languageOf(text: string): Language | undefined {
  const han = text.match(/\p{Script=Han}/gu)?.length ?? 0;
  const words = text.match(/[A-Za-z]+/g)?.length ?? 0;
  if (han === 0 && words === 0) return undefined;
  return han >= words ? "zh" : "en";
}
