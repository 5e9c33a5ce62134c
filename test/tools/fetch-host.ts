import { fetchUrl } from "rubato/tools";
import { fakeContext } from "./fixture.ts";

/** Fetches from this machine by the tool, in a process whose environment a test chose. */
const [url = ""] = process.argv.slice(2);
const tool = fetchUrl({ allow: (address) => address === "127.0.0.1" });
console.log(JSON.stringify(await tool.execute({ url, maxBytes: 1000 }, fakeContext())));
