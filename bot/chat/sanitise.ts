// What people write, as a model should read it: no emoji, no Discord markup, no links to pictures (pure).

// reference#message-formatting: custom emoji, mentions of users, roles and channels, server navigation.
const NAMELESS = /<a?:\w{1,32}:\d{1,20}>|<(?:@[!&]?|#)\d{1,20}>|<id:[\w-]{1,20}>/;
// A command's mention carries its name, a timestamp its time.
const COMMAND = /<\/([^\s<>:]{1,32}(?: [^\s<>:]{1,32}){0,2}):\d{1,20}>/g;
const TIMESTAMP = /<t:(-?\d{1,13})(?::[tTdDfFsSR])?>/g;
// Discord's own file hosts, the two GIF pickers' hosts, and any other link to a picture that moves.
const PICTURE =
  /<?https?:\/\/(?:(?:cdn|media|images-ext-\d+)\.discordapp\.(?:com|net)|(?:[\w-]+\.)*(?:tenor|giphy)\.com)\/[^\s<>]*>?|<?https?:\/\/[^\s<>]+\.(?:gif|gifv|apng)(?:[?#][^\s<>]*)?(?![\w.])>?/i;
const REMOVED = new RegExp(` ?(?:${NAMELESS.source}|${TIMESTAMP.source}|${PICTURE.source})+`, "gi");

// An emoji is shown as a picture by default, or by a selector, a keycap, a flag's letters or a joiner; "©", "1" and "❤"
// alone are text (UTS #51).
const EMOJI =
  /\p{Emoji_Presentation}|\p{Regional_Indicator}|\p{Emoji_Modifier}|\p{Emoji}\uFE0F|[0-9#*]\uFE0F?\u20E3|\p{Extended_Pictographic}\u200D/u;
const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

/**
 * Takes out what a language model cannot read. Ordinary text of any script stays as it is, but for blanks at its ends;
 * the result is never longer, and sanitising it again changes nothing.
 */
export function sanitise(text: string): string {
  const once = withoutEmoji(withoutMarkup(text.toWellFormed())).trim();
  // What was taken out may have stood between two halves of more.
  return once === text ? once : sanitise(once);
}

function withoutMarkup(text: string): string {
  if (!/[<:]/.test(text)) return text;
  return text
    .replace(COMMAND, "/$1")
    .replace(TIMESTAMP, (markup, seconds: string) => dayOf(Number(seconds), markup))
    .replace(REMOVED, (markup: string, ...rest: readonly unknown[]) => {
      // The groups, then the offset, then the whole text.
      const [offset, whole] = rest.slice(-2);
      return gap(String(whole), Number(offset), markup.length);
    });
}

/** The day of a timestamp, where it is no longer than its markup, which else is left to be removed. */
function dayOf(seconds: number, markup: string): string {
  const time = new Date(seconds * 1_000);
  const [day = ""] = Number.isNaN(time.getTime()) ? [] : time.toISOString().split("T");
  return day !== "" && day.length <= markup.length ? day : markup;
}

/** What is left in the place of what was removed: a blank where two words would run together. */
function gap(whole: string, offset: number, length: number): string {
  return between(whole.slice(0, offset), whole.slice(offset + length));
}

const between = (before: string, after: string): string =>
  /[\p{L}\p{M}\p{N}]$/u.test(before.slice(-2)) && /^[\p{L}\p{N}]/u.test(after) ? " " : "";

function withoutEmoji(text: string): string {
  if (!EMOJI.test(text)) return text;
  let kept = "";
  let removed = false;
  for (const { segment } of graphemes.segment(text)) {
    if (EMOJI.test(segment)) {
      removed = true;
      continue;
    }
    if (removed) {
      // The blank before an emoji goes with it.
      if (kept.endsWith(" ")) kept = kept.slice(0, -1);
      kept += between(kept, segment);
    }
    removed = false;
    kept += segment;
  }
  return kept;
}
