import { manyAgents, manyLoops, type Growth } from "./crowd.ts";
import { collectGarbage } from "./interleave.ts";

// A process of its own: runs one crowd, tells its parent what that cost in memory, and ends.

const [side, agents = "0", steps = "0"] = process.argv.slice(2);
const crowd = side === "loop" ? manyLoops : manyAgents;
// Loads and compiles what the crowd needs, so that the growth is the crowd's own.
await crowd(1, 2);
collectGarbage();
const before = process.memoryUsage();
const kept = await crowd(Number(agents), Number(steps));
const { rss } = process.memoryUsage();
collectGarbage();
const { heapUsed } = process.memoryUsage();
const growth: Growth = { rss, rssGrowth: rss - before.rss, heapGrowth: heapUsed - before.heapUsed };
// Named after the measurement, so that nothing of it was collected before.
if (kept.length === Number(agents)) process.send?.(growth, () => process.disconnect());
