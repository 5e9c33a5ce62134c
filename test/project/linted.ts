import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { node, ROOT } from "./child.ts";

const reportSchema = z.object({
  diagnostics: z.array(
    z.object({ filename: z.string(), help: z.string().optional(), message: z.string(), code: z.string().optional() }),
  ),
});
const configSchema = z.looseObject({ options: z.unknown() });

/** A file and its text. */
export type Probe = readonly [file: string, code: string, ...rest: unknown[]];

/**
 * What the linter says of each file, with the repository's own rules. They lie in a temporary folder, so that nothing is left in the sources,
 * whatever ends the test.
 */
export async function linted(
  files: readonly Probe[],
  { typeAware }: { readonly typeAware: boolean },
): Promise<(file: string) => string> {
  const folder = mkdtempSync(join(tmpdir(), "rubato-lint-"));
  try {
    const config = configSchema.parse(JSON.parse(readFileSync(join(ROOT, ".oxlintrc.json"), "utf8")));
    // They take longer, and the linter looks for their program where it runs.
    const options = typeAware ? config.options : {};
    writeFileSync(join(folder, ".oxlintrc.json"), JSON.stringify({ ...config, options }));
    if (typeAware) symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"), "junction");
    for (const [file, code] of files) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), `${code}\n`);
    }
    const { out } = await node([join(ROOT, "node_modules/oxlint/bin/oxlint"), "--format", "json"], { cwd: folder });
    const { diagnostics } = reportSchema.parse(JSON.parse(out));
    return (file) =>
      diagnostics
        .filter(({ filename }) => filename.endsWith(file))
        .map(({ code = "", message, help = "" }) => `${code} ${message} ${help}`)
        .join("\n");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
