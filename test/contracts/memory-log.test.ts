import { memoryLog } from "rubato";
import { describeEventLog } from "./event-log.ts";

describeEventLog("memory", () => ({ log: memoryLog() }));
