// A long answer as several messages: cut where a reader would pause, code blocks whole or closed and opened again (pure).

/** Discord: content has at most 2,000 characters, counted in code points (resources/message#create-message). */
export const LONGEST_CONTENT = 2_000;

const FENCE = /^[ ]{0,3}```/;
const CLOSING = "\n```";
// A fence's first line may name a language; one longer than this is no language, and is not written again.
const LONGEST_OPENING = 40;

const sentences = new Intl.Segmenter("und", { granularity: "sentence" });
const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

const lengthOf = (text: string): number => {
  let length = 0;
  for (const _ of text) length++;
  return length;
};

/** The beginning of a text, so many code points long. */
function take(text: string, points: number): string {
  let end = 0;
  for (const point of text) {
    if (points-- <= 0) break;
    end += point.length;
  }
  return text.slice(0, end);
}

/**
 * The text in order, in parts of at most `limit` code points, none of them blank.
 * @param limit at least 100, or the marks of a code block leave no room
 */
export function split(text: string, limit: number = LONGEST_CONTENT): string[] {
  const parts: string[] = [];
  let rest = text.trim();
  // The line that opens the code block in which the last part was cut; "" outside of one.
  let opening = "";
  while (rest !== "") {
    if (lengthOf(opening + rest) <= limit) {
      parts.push(opening + rest);
      break;
    }
    const room = take(rest, limit - lengthOf(opening) - CLOSING.length);
    const cut = besideFence(room, bestCut(room, opening));
    const piece = room.slice(0, cut);
    const openAfter = openingAt(piece, opening);
    const part = opening + piece.trimEnd() + (openAfter === "" ? "" : CLOSING);
    if (piece.trim() !== "") parts.push(part);
    rest = rest.slice(cut);
    rest = openAfter === "" ? rest.trimStart() : rest.replace(/^\n/, "");
    // A block whose end comes next is over; it needs no part of its own.
    const end = openAfter === "" ? null : /^\s*```[ ]*(?:\n|$)/.exec(rest);
    opening = end === null ? openAfter : "";
    if (end !== null) rest = rest.slice(end[0].length).trimStart();
  }
  return parts;
}

/** The opening line, with its newline, of the code block that is open at the end of `piece`; "" when none is. */
function openingAt(piece: string, opening: string): string {
  let open = opening;
  for (const line of piece.split("\n")) {
    if (!FENCE.test(line)) continue;
    if (open !== "") open = "";
    else if (!line.replace(FENCE, "").includes("```")) open = line.length <= LONGEST_OPENING ? `${line}\n` : "```\n";
  }
  return open;
}

/** Where to cut, in UTF-16 units: the best border in the second half of the room, or the last grapheme's end. */
function bestCut(room: string, opening: string): number {
  const least = room.length / 2;
  const late = (cut: number): boolean => cut >= least;
  if (openingAt(room, opening) !== "") {
    // Within a code block: before the block, if that leaves a good part; else at the end of a line.
    const start = lastFence(room);
    if (start !== undefined && late(start)) return start;
    const line = room.lastIndexOf("\n");
    return late(line) ? line : lastGrapheme(room);
  }
  const outside = (cut: number): boolean => openingAt(room.slice(0, cut), opening) === "";
  const paragraph = room.lastIndexOf("\n\n");
  if (late(paragraph) && outside(paragraph)) return paragraph;
  let sentence = 0;
  for (const { index } of sentences.segment(room)) if (index > sentence && outside(index)) sentence = index;
  if (late(sentence)) return sentence;
  for (const border of ["\n", " "]) {
    const cut = room.lastIndexOf(border);
    if (late(cut) && outside(cut)) return cut;
  }
  return lastGrapheme(room);
}

/** The cut, or the end of the line before it where it would go through the marks of a code block. */
function besideFence(room: string, cut: number): number {
  const start = room.lastIndexOf("\n", cut - 1) + 1;
  return start > 1 && /^ {0,3}`+\S*$/.test(room.slice(start, cut)) ? start - 1 : cut;
}

function lastFence(room: string): number | undefined {
  let at = 0;
  let found: number | undefined;
  for (const line of room.split("\n")) {
    if (FENCE.test(line) && at > 0) found = at;
    at += line.length + 1;
  }
  return found;
}

/** The start of the last grapheme, which may go on beyond the room; the room's end when it is one alone. */
function lastGrapheme(room: string): number {
  let last = 0;
  for (const { index } of graphemes.segment(room)) last = index;
  return last > 0 ? last : room.length;
}
