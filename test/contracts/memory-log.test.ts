import { memoryLog } from "rubato";
import { describeEventLog } from "./event-log.ts";

describeEventLog("memory", () => {
  const log = memoryLog();
  return { log, other: log };
});
