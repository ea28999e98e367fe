//! What is left of a text that something outside said, before it may be seen in the log.

/// Longest text of others in a line, in characters.
pub(crate) const MAX_DETAIL_CHARS: usize = 300;
/// From this length on, a run of characters as tokens have them is left out, unless it is plainly a word.
const MIN_TOKEN_CHARS: usize = 16;

/// The text, shortened; URLs keep scheme and host, parameters their name, and what looks like a token goes.
pub(crate) fn without_secrets(text: &str) -> String {
    let words: Vec<String> =
        text.chars().take(MAX_DETAIL_CHARS).collect::<String>().split_whitespace().map(word).collect();
    words.join(" ")
}

fn word(word: &str) -> String {
    if let Some((before, url)) = word.split_once("://") {
        let scheme: String = before.chars().rev().take_while(char::is_ascii_alphanumeric).collect();
        let authority = url.split(['/', '?', '#', '"', ')', '\'', ',']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        return format!("{}://{}", scheme.chars().rev().collect::<String>(), without_tokens(host));
    }
    match word.split_once('=') {
        Some((name, value)) if !value.is_empty() => format!("{}=…", without_tokens(name)),
        _ => without_tokens(word),
    }
}

fn without_tokens(word: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '%' | '~');
    let mut out = String::with_capacity(word.len());
    let mut run = String::new();
    for c in word.chars().map(Some).chain([None]) {
        match c {
            Some(c) if is_part(c) => run.push(c),
            other => {
                out.push_str(if is_token(&run) { "…" } else { &run });
                run.clear();
                out.extend(other.filter(|c| !c.is_control()));
            }
        }
    }
    out
}

/// Long, and with digits or of mixed case, as no word is.
fn is_token(run: &str) -> bool {
    let has = |test: fn(&char) -> bool| run.chars().any(|c| test(&c));
    run.len() >= MIN_TOKEN_CHARS
        && (has(char::is_ascii_digit) || (has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase)))
}
