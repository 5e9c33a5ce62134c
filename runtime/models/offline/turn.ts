/** A message that says nothing but another topic for the text that was being written: "no, about mountains instead", 换成山. */

const no = String.raw`(?:(?:no|nope|stop|wait|sorry|actually|hmm|oh|ok|okay|please|rather|and|but)\b[\s,.!;]*)*`;
const noZh = String.raw`(?:(?:不对?|不是|停下?|算了|等等|等一下|好的?|嗯|还是|那|请|就)[\s，,。！!]*)*`;
const topic = String.raw`(?<topic>[^\n.?!;,。；？！]{1,120}?)`;
const close = String.raw`(?:\s*,?\s*(?:instead|please|now|then))*[\s.!?,;，。]*$`;

const patterns: readonly RegExp[] = [
  String.raw`^\s*${no}(?:(?:make|do|let)\s+(?:it|that|this)(?:\s+be)?\s+|(?:write|talk|something|one)\s+)?about\s+${topic}${close}`,
  String.raw`^\s*${no}(?:switch|change|turn)\s+(?:it\s+|the\s+(?:topic|subject)\s+)?to\s+${topic}${close}`,
  String.raw`^\s*${noZh}(?:换成|换到|改成|改为|改写成?|写成|写(?![完下好得快慢长短详多少到了错]))+(?:一篇|个)?(?:关于)?\s*(?<topic>[^\n，。；？！,;?!]{1,30}?)(?:的(?:文章|内容|长文)?)?(?:吧)?[\s，,。！!]*$`,
  String.raw`^\s*${noZh}关于\s*(?<topic>[^\n，。；？！,;?!]{1,30}?)(?:的)?(?:吧)?[\s，,。！!]*$`,
].map((pattern) => new RegExp(pattern, "iu"));

/** How long it is to be, which is no topic: 改成三段. */
const shape = /^[一二两三四五六七八九十几\d]+\s*(?:个?(?:段|字|句|点|行|词)|words|lines|sentences|paragraphs)/i;

/** The new topic, or undefined for a message that says anything else. */
export function turnOf(text: string): string | undefined {
  for (const pattern of patterns) {
    const topic = pattern.exec(text)?.groups?.["topic"]?.trim();
    if (topic !== undefined && topic !== "" && !shape.test(topic)) return topic;
  }
  return undefined;
}
