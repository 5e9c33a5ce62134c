import type { Read, Row } from "./rule.ts";
import * as words from "./words.ts";

const { place, placeZh } = words;

const places = String.raw`(?<places>${words.several(place)})`;
const placesZh = String.raw`(?<places>${words.severalZh(placeZh)})`;
const nowZh = String.raw`(?:现在|当前|此刻|目前)`;
const timeZh = String.raw`(?:几点|什么时间|(?:当地)?时间)(?:是|现在)*(?:几点|多少)?(?:了|钟)*`;

const time: Read = ({ places }) =>
  words.placesOf(places).map((place) => {
    const zone = words.zoneOf(place);
    return zone === undefined ? { kind: "time" } : { kind: "time", zone };
  });
const wait: Read = ({ amount, unit }) => ({ kind: "wait", seconds: words.secondsOf(amount ?? "", unit) });

/** The time, and waiting. */
export const clockRules: readonly Row[] = [
  [
    String.raw`\b(?:what(?:'s|’s|\s+is)?\s+)?(?:the\s+)?(?:current\s+)?(?:time|date|day)\s+is\s+it(?:\s+(?:right\s+)?(?:now|today))?(?:\s+in\s+${places})?(?:\s+(?:right\s+)?now)?`,
    time,
  ],
  [
    String.raw`\b(?:(?:what(?:'s|’s|\s+is)|tell\s+me)\s+the\s+(?:current\s+|local\s+)?(?:time|date)|(?:the\s+)?current\s+(?:time|date)|today(?:'s|’s)\s+date)(?:\s+(?:now|today))?(?:\s+in\s+${places})?`,
    time,
  ],
  [String.raw`\b(?:time|date)\s+in\s+${places}`, time],
  [String.raw`(?:${placesZh}的?)?${nowZh}(?:是|的)?${timeZh}`, time],
  [String.raw`${nowZh}${placesZh}(?:现在)?(?:是|的)?${timeZh}`, time],
  [
    String.raw`(?:${placesZh}的?)?(?:几点(?:了|钟)*|时间(?:是多少|是几点)?|今天(?:的日期)?(?:是)?(?:几号|几月几[号日]|什么日期|什么日子|星期几|周几|礼拜几)(?:了)?)`,
    time,
  ],

  [
    String.raw`\b(?:wait|sleep|pause)\s+(?:for\s+)?(?<amount>\d{1,9}(?:\.\d{1,6})?|an?|one)\s*(?<unit>milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h)?\b`,
    wait,
  ],
  [
    String.raw`(?:等待|等候|等|暂停)(?:一下)?\s*(?<amount>\d{1,9}(?:\.\d{1,6})?|一)\s*个?(?<unit>毫秒|秒钟?|分钟?|小时)`,
    wait,
  ],
];
