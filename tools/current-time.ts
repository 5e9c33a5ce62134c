import { z } from "zod";
import { defineTool } from "./tool.ts";

/**
 * Tool `current_time`. Answers `{ timeZone, local: "2026-11-02 23:05:09", offset: "+09:00", weekday, utc }`; without `timeZone` in the zone
 * of this machine. An unknown zone is an error.
 */
export const currentTime = defineTool({
  name: "current_time",
  description: "Tells the date, the time and the weekday, now, in a time zone.",
  input: z.object({
    timeZone: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('An IANA time zone such as "Europe/Rome". Default: the zone of this machine'),
  }),
  idempotent: true,
  execute({ timeZone }) {
    const now = new Date();
    const format = formatOf(timeZone);
    const parts = new Map(format.formatToParts(now).map((part) => [part.type, part.value]));
    const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? "";
    // "GMT" alone stands for no offset.
    const offset = part("timeZoneName").replace("GMT", "");
    return {
      timeZone: format.resolvedOptions().timeZone,
      local: `${part("year")}-${part("month")}-${part("day")} ${part("hour")}:${part("minute")}:${part("second")}`,
      offset: offset === "" ? "+00:00" : offset,
      weekday: part("weekday"),
      utc: now.toISOString(),
    };
  },
});

function formatOf(timeZone: string | undefined): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      weekday: "long",
      hourCycle: "h23",
      timeZoneName: "longOffset",
    });
  } catch (error) {
    throw new Error(
      `"${timeZone}" is not a known time zone. Use an IANA name such as "Europe/Rome" or "Asia/Shanghai".`,
      {
        cause: error,
      },
    );
  }
}
