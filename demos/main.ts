// Lists the demos, or runs some: `npm run demo`, `npm run demo 03`, `npm run demo all`.

const DEMOS = [
  { file: "00-event-walk.ts", about: "events one by one through step(): the pure core, no runtime" },
  { file: "01-hello.ts", about: "a run, its events, its outcome" },
  { file: "02-tools.ts", about: "parallel tools with streamed arguments and progress" },
  { file: "03-interrupt.ts", about: "stop in mid-sentence, in mid-tool and at a boundary, and go on" },
  { file: "04-send.ts", about: "redirect, steer and follow up while it works" },
  { file: "05-two-agents.ts", about: "two agents at once, one interrupted, the other undisturbed" },
  { file: "06-fold-a-log.ts", about: "a recorded log folded again: the same state, to the byte" },
  { file: "07-crash.ts", about: "a process killed in mid-tool, and another that goes on from its log" },
  { file: "08-time-travel.ts", about: "replay, any moment of the past, and forks with another past or future" },
  {
    file: "09-approvals.ts",
    about: "calls that wait for you: approve, edit, reject, or allow for the rest of the run",
  },
  { file: "10-errors.ts", about: "a retry with a wait, an attempt that is superseded, and a fallback model" },
  { file: "11-limits.ts", about: "budgets and circles: it rests, says what to raise, and goes on" },
  { file: "12-browser.ts", about: "a plain page and a React page: start, stop, redirect, reload, and lose nothing" },
];

const [wanted] = process.argv.slice(2);
const chosen = DEMOS.filter(({ file }) => wanted === "all" || file.slice(0, 2) === wanted?.padStart(2, "0"));

if (wanted === undefined) {
  console.log("Demos, all offline:\n");
  for (const { file, about } of DEMOS) console.log(`  npm run demo ${file.slice(0, 2)}   ${about}`);
  console.log("\n  npm run demo all  runs them in order. On a terminal they wait for your keys.");
} else if (chosen.length === 0) {
  console.error(`There is no demo "${wanted}". "npm run demo" lists them.`);
  process.exitCode = 2;
}

for (const { file, about } of chosen) {
  console.log(`\n== ${file.slice(0, 2)}  ${about} ==`);
  await import(`./${file}`);
}
