/** Commands as lines: how words are put together, and what a usage asks for. */

const PLAIN = /^[\w@%+=:,./-]+$/;

/** A word as a line has it: in quotes where it needs them. */
export function quote(word) {
  return word === "|" || PLAIN.test(word) ? word : `"${word.replace(/["\\$`]/g, (each) => (each === '"' || each === "\\" ? `\\${each}` : each))}"`;
}

/** A line with these words. */
export const line = (...words) => words.map((word) => quote(String(word))).join(" ");

/** The parts of a usage, without the command's name: {word, literal, many, optional}. */
export function partsOf(usage) {
  const parts = [];
  let bracket = 0, inside = false;
  for (const token of usage.match(/\[|\]|[^\s[\]]+/g).slice(1)) {
    if (token === "[") [inside, bracket] = [true, bracket + 1];
    else if (token === "]") inside = false;
    else {
      const word = token.replace(/\.\.\.$/, "");
      parts.push({word, literal: word !== word.toUpperCase(), many: token.endsWith("..."), optional: inside ? bracket : 0});
    }
  }
  return parts;
}

/** The words of a line, roughly: for completion, where a quote may still be open. */
export const wordsOf = (text) => text.match(/"[^"]*"?|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? [];

/** What two words begin with. */
export function commonStart(words) {
  let start = words[0] ?? "";
  for (const word of words) while (!word.startsWith(start)) start = start.slice(0, -1);
  return start;
}
