import type { Read, Row } from "./rule.ts";

const textKind = String.raw`(?:answer|text|essay|article|story|poem|paragraph|explanation|report|overview)`;
const textKindZh = String.raw`(?:长文章|文章|长文|短文|作文|故事|介绍|回答|内容|诗|报告|说明)`;
const topic = String.raw`(?<topic>[^\n.?!;。；？！]{1,120})`;
const topicZh = String.raw`(?<topic>[^\n，。；？！,;?!]{1,60}?)`;

const write: Read = ({ topic }) => {
  const about = topic?.replace(/(?:[\s,]+(?:and|then|please|instead))*[\s,]*$/i, "").trim();
  if (about === undefined || about === "") return { kind: "write" };
  return /^(?:you|yourself|你|你自己)$/i.test(about) ? { kind: "help" } : { kind: "write", topic: about };
};
const greet: Read = () => ({ kind: "greet" });
const thanks: Read = () => ({ kind: "thanks" });
const help: Read = () => ({ kind: "help" });

/** Long texts, and what is said to the model itself. */
export const talkRules: readonly Row[] = [
  [String.raw`\b(?:what\s+can\s+you\s+do|who\s+are\s+you|what\s+are\s+you|how\s+do\s+you\s+work)|^\s*help\b`, help],
  [String.raw`你(?:能|会|可以)(?:帮我)?(?:做|干)?(?:些)?(?:什么|啥|哪些)(?:事情?)?|你是谁|^\s*帮助`, help],

  [
    String.raw`\b(?:write|compose|draft|give|tell)(?:\s+(?:me|us))?(?:\s+[\w-]+){0,5}?(?:\s+|\s*,\s*)(?:about|on)\s+${topic}`,
    write,
  ],
  [
    String.raw`\b(?:write|compose|draft|give)(?:\s+(?:me|us))?(?:\s+[\w-]+){0,4}?\s+(?:explanation|description|overview|account|history|introduction)\s+(?:of|to)\s+${topic}`,
    write,
  ],
  [String.raw`\b(?:explain|describe)\s+(?:to\s+me\s+)?${topic}`, write],
  [String.raw`\b(?:write|compose|give)(?:\s+(?:me|us))?(?:\s+[\w-]+){0,4}?\s+${textKind}`, write],
  [
    String.raw`(?:给我|帮我)?(?:写|来|讲)[^\n，。]{0,8}?(?:关于|有关)\s*${topicZh}\s*的\s*(?:[^\n，。]{0,4}?)${textKindZh}`,
    write,
  ],
  [
    String.raw`(?:给我|帮我)?写[^\n，。]{0,8}?${textKindZh}\s*[，,：:]?\s*(?:关于|有关|主题是|题目是|介绍|解释|讲述?|谈谈?|说说)\s*${topicZh}(?=$|[\n，。；？！,;?!])`,
    write,
  ],
  [String.raw`(?:介绍|解释|讲讲|谈谈|聊聊|说说)(?:一下)?\s*(?:关于)?${topicZh}(?=$|[\n，。；？！,;?!])`, write],
  [String.raw`(?:给我|帮我)?写[^\n，。]{0,8}?${textKindZh}`, write],

  [
    String.raw`(?<=(?:^|[\n,.;:!?，。；：！？])\s*)(?:hi|hello|hey|good\s+(?:morning|afternoon|evening))\b(?:\s+there)?|你好|您好|哈喽|早上好|晚上好`,
    greet,
  ],
  [String.raw`\b(?:thanks|thank\s+you)\b(?:\s+(?:very\s+much|a\s+lot))?|谢谢|多谢`, thanks],
];
