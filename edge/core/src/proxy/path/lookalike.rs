//! Characters beyond ASCII that some program turns into an ASCII character which separates, is a dot or begins an escape, or
//! ignores. All others pass: file names are written in every script.

use std::ops::RangeInclusive;

/// A table of characters, in ascending order.
type Table<const N: usize> = [RangeInclusive<char>; N];

/// Characters that are replaced by one of `/ \ . ; % ? #` or by the end of a line, although Unicode does not normalise them
/// so. Windows converts to a code page with the best fit (`∕ ∖ ․ ⁄ ⃥ ¥ ₩ ٪ ۔ ‰ ♪`), `iconv` transliterates, IDNA reads `。` as a
/// dot, and some programs take similar ones (`⧸ ⧹ ⧵ ╱ ╲ ♯`). Then line and paragraph separators, characters
/// of private use (by which file systems write what a name cannot have), non-characters and specials, and the tags of
/// punctuation.
const REPLACED: Table<35> = [
    '\u{a5}'..='\u{a5}',
    '\u{66a}'..='\u{66a}',
    '\u{6d4}'..='\u{6d4}',
    '\u{2024}'..='\u{2024}',
    '\u{2028}'..='\u{2029}',
    '\u{2030}'..='\u{2030}',
    '\u{2044}'..='\u{2044}',
    '\u{20a9}'..='\u{20a9}',
    '\u{20e5}'..='\u{20e5}',
    '\u{2215}'..='\u{2216}',
    '\u{2571}'..='\u{2572}',
    '\u{25d9}'..='\u{25d9}',
    '\u{266a}'..='\u{266a}',
    '\u{266f}'..='\u{266f}',
    '\u{29f5}'..='\u{29f5}',
    '\u{29f8}'..='\u{29f9}',
    '\u{3002}'..='\u{3002}',
    '\u{e000}'..='\u{f8ff}',
    '\u{fdd0}'..='\u{fdef}',
    '\u{fff9}'..='\u{ffff}',
    '\u{1fffe}'..='\u{1ffff}',
    '\u{2fffe}'..='\u{2ffff}',
    '\u{3fffe}'..='\u{3ffff}',
    '\u{4fffe}'..='\u{4ffff}',
    '\u{5fffe}'..='\u{5ffff}',
    '\u{6fffe}'..='\u{6ffff}',
    '\u{7fffe}'..='\u{7ffff}',
    '\u{8fffe}'..='\u{8ffff}',
    '\u{9fffe}'..='\u{9ffff}',
    '\u{afffe}'..='\u{affff}',
    '\u{bfffe}'..='\u{bffff}',
    '\u{cfffe}'..='\u{cffff}',
    '\u{dfffe}'..='\u{dffff}',
    '\u{e0000}'..='\u{e005f}',
    '\u{efffe}'..='\u{10ffff}',
];

/// Characters whose compatibility form (NFKC) has one of `/ \ . ; % ? #`, a control character, or one of [`REPLACED`]. A
/// test compares the table with Unicode's data.
const NORMALISED: Table<36> = [
    '\u{80}'..='\u{9f}',
    '\u{bc}'..='\u{be}',
    '\u{37e}'..='\u{37e}',
    '\u{2025}'..='\u{2026}',
    '\u{2047}'..='\u{2049}',
    '\u{2100}'..='\u{2101}',
    '\u{2105}'..='\u{2106}',
    '\u{2150}'..='\u{215f}',
    '\u{2189}'..='\u{2189}',
    '\u{2488}'..='\u{249b}',
    '\u{33a7}'..='\u{33a8}',
    '\u{33ae}'..='\u{33af}',
    '\u{33c2}'..='\u{33c2}',
    '\u{33c6}'..='\u{33c7}',
    '\u{33d8}'..='\u{33d8}',
    '\u{33de}'..='\u{33df}',
    '\u{fe12}'..='\u{fe12}',
    '\u{fe14}'..='\u{fe14}',
    '\u{fe16}'..='\u{fe16}',
    '\u{fe19}'..='\u{fe19}',
    '\u{fe30}'..='\u{fe30}',
    '\u{fe52}'..='\u{fe52}',
    '\u{fe54}'..='\u{fe54}',
    '\u{fe56}'..='\u{fe56}',
    '\u{fe5f}'..='\u{fe5f}',
    '\u{fe68}'..='\u{fe68}',
    '\u{fe6a}'..='\u{fe6a}',
    '\u{ff03}'..='\u{ff03}',
    '\u{ff05}'..='\u{ff05}',
    '\u{ff0e}'..='\u{ff0f}',
    '\u{ff1b}'..='\u{ff1b}',
    '\u{ff1f}'..='\u{ff1f}',
    '\u{ff3c}'..='\u{ff3c}',
    '\u{ff61}'..='\u{ff61}',
    '\u{ffe5}'..='\u{ffe6}',
    '\u{1f100}'..='\u{1f100}',
];

/// Default_Ignorable_Code_Point: invisible, and ignored by some file systems.
const IGNORABLE: Table<17> = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

fn has(table: &[RangeInclusive<char>], c: char) -> bool {
    table.iter().any(|range| range.contains(&c))
}

/// Whether some program replaces a character by a refused one, although Unicode does not.
pub(super) fn is_replaced(c: char) -> bool {
    has(&REPLACED, c)
}

/// Whether some program may turn a character into a separator, a dot, the beginning of an escape, or a control character.
pub(super) fn reads_as_ascii(c: char) -> bool {
    !c.is_ascii() && (is_replaced(c) || has(&NORMALISED, c))
}

/// Characters beyond ASCII that are replaced by one of `" < > *`: by their compatibility form (NFKC), by the best fit of a
/// Windows code page, or by a transliteration.
const WILDCARDS: Table<20> = [
    '\u{ab}'..='\u{ab}',
    '\u{bb}'..='\u{bb}',
    '\u{2ba}'..='\u{2ba}',
    '\u{30e}'..='\u{30e}',
    '\u{66d}'..='\u{66d}',
    '\u{201c}'..='\u{201f}',
    '\u{2033}'..='\u{2033}',
    '\u{2036}'..='\u{2036}',
    '\u{2039}'..='\u{203a}',
    '\u{204e}'..='\u{204e}',
    '\u{2217}'..='\u{2217}',
    '\u{2329}'..='\u{232a}',
    '\u{275d}'..='\u{275e}',
    '\u{3008}'..='\u{300b}',
    '\u{301d}'..='\u{301f}',
    '\u{fe61}'..='\u{fe61}',
    '\u{fe64}'..='\u{fe65}',
    '\u{ff02}'..='\u{ff02}',
    '\u{ff0a}'..='\u{ff0a}',
    '\u{ff1c}'..='\u{ff1e}',
];

/// Whether some program takes a character for a wildcard. In a search for files Windows may match `"`, `<`, `>` and `*` with
/// a dot, or with nothing; programs that look a file up by such a search do, too. `?` is not among them: it ends a path.
pub(super) fn is_wildcard(c: char) -> bool {
    matches!(c, '"' | '<' | '>' | '*') || !c.is_ascii() && has(&WILDCARDS, c)
}

/// Whether some program ignores a character.
pub(super) fn is_ignorable(c: char) -> bool {
    !c.is_ascii() && has(&IGNORABLE, c)
}
