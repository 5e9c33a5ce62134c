import { describe, expect, it } from "vitest";
import { bundlePages } from "../../demos/support/pages.ts";
import { node, ROOT } from "../project/child.ts";

// What can be said of the browser demo without a browser; browser.full.test.ts opens it in one.

describe("the pages of the browser demo", () => {
  it("are bundled, with nothing of Node's, and nothing in them that their policy refuses", async () => {
    const files = await bundlePages();
    expect([...files.keys()].sort()).toEqual(["plain.html", "plain.js", "react.html", "react.js", "style.css"]);
    for (const name of ["plain", "react"]) {
      const code = files.get(`${name}.js`)?.text ?? "";
      expect(code).not.toMatch(/from ?"node:|require\("node:/);
      // Before the first schema is made: else zod tries `new Function`.
      const strict = code.search(/jitless:(?:!0|true)/);
      expect(strict).toBeGreaterThan(0);
      expect(code.indexOf("providerCallId:")).toBeGreaterThan(strict);
      const html = files.get(`${name}.html`)?.text ?? "";
      expect(html).toContain(`src="${name}.js"`);
      expect(html).not.toMatch(/<style|\bstyle=|\bon\w+=|<script(?![^>]*\bsrc=)/);
    }
  });

  it("have valid types, with those of a browser", async () => {
    const ended = await node([`${ROOT}node_modules/typescript/bin/tsc`, "-p", `${ROOT}demos/browser`]);
    expect(ended).toEqual({ code: 0, out: "", err: "" });
  });
});
