import { describe, expect, it } from "vitest";
import { z } from "zod";
import { commandSchema } from "rubato/server";
import { ROUTES } from "../../runtime/server/routes.ts";
import { object, served } from "./served.ts";

const documentSchema = z.looseObject({
  openapi: z.string(),
  paths: z.record(
    z.string(),
    z.record(z.string(), z.looseObject({ operationId: z.string(), responses: z.record(z.string(), z.unknown()) })),
  ),
  components: z.looseObject({ schemas: z.record(z.string(), z.looseObject({})) }),
});

/** Every `$ref` in a document. */
function references(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(references);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => (key === "$ref" ? [String(inner)] : references(inner)));
}

describe("the description of the server", () => {
  it("names every route that answers, and no other", async () => {
    const it = await served();
    const document = documentSchema.parse(await object(await fetch(`${it.url}/openapi.json`)));
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths)).toEqual(ROUTES.map((path) => path.replace(/:(\w+)/, "{$1}")));
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const method of ["get", "post", "put", "delete", "patch"]) {
        const url = it.url + path.replace(/\{\w+\}/, "nix");
        const { status } = await fetch(url, { method: method.toUpperCase() });
        expect([method, path, status !== 405]).toEqual([method, path, method in operations]);
      }
    }
    const ids = Object.values(document.paths).flatMap((operations) =>
      Object.values(operations).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("refers to nothing that is not there, and has the commands as they are checked", async () => {
    const it = await served();
    const document = documentSchema.parse(await object(await fetch(`${it.url}/openapi.json`)));
    const names = references(document).map((reference) => reference.replace("#/components/schemas/", ""));
    expect(names.filter((name) => !(name in document.components.schemas))).toEqual([]);
    const said = JSON.stringify(document.components.schemas["Command"]);
    for (const option of commandSchema.options) expect(said).toContain(`"const":"${option.shape.verb.value}"`);
    expect(said).toContain('"additionalProperties":false');
  });
});
