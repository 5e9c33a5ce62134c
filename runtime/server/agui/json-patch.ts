import type { Json } from "../../../machines/events.ts";

/** An operation of JSON Patch (RFC 6902): the three that a difference needs. */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string };

type JsonObject = Readonly<Record<string, Json>>;

/** What makes `after` of `before`. Objects are compared key by key, lists item by item from their beginning. */
export function patchOf(before: Json, after: Json, path = ""): PatchOperation[] {
  if (before === after) return [];
  if (isList(before) && isList(after)) return listPatch(before, after, path);
  if (!isObject(before) || !isObject(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ op: "replace", path, value: after }];
  }
  const patch: PatchOperation[] = [];
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) patch.push({ op: "remove", path: `${path}/${escaped(key)}` });
  }
  for (const [key, value] of Object.entries(after)) {
    const at = `${path}/${escaped(key)}`;
    if (Object.hasOwn(before, key)) patch.push(...patchOf(before[key] ?? null, value, at));
    else patch.push({ op: "add", path: at, value });
  }
  return patch;
}

function listPatch(before: readonly Json[], after: readonly Json[], path: string): PatchOperation[] {
  const patch: PatchOperation[] = [];
  for (const [index, value] of after.entries()) {
    const was = before[index];
    if (was === undefined) patch.push({ op: "add", path: `${path}/${index}`, value });
    else patch.push(...patchOf(was, value, `${path}/${index}`));
  }
  for (let index = before.length - 1; index >= after.length; index--)
    patch.push({ op: "remove", path: `${path}/${index}` });
  return patch;
}

function escaped(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
