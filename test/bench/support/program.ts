import { fileURLToPath } from "node:url";

/** The path of a program beside a module: compiled where the module is compiled, source where it runs from source. */
export function programBeside(module: string, name: string): string {
  const ending = module.endsWith(".ts") ? ".ts" : ".js";
  return fileURLToPath(new URL(name + ending, module));
}
