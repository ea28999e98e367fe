//! Removes secrets from text that came from outside, before it is logged.

/// Longest text from outside in a log line, in characters.
pub(crate) const MAX_DETAIL_CHARS: usize = 300;
/// Runs of token characters of at least this length are removed, unless they look like a word.
const MIN_TOKEN_CHARS: usize = 16;

/// Shortens a text. URLs keep scheme and host, parameters keep their name, and anything like a token is removed.
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

/// Whether a run is long and has digits or mixed case, unlike a word.
fn is_token(run: &str) -> bool {
    let has = |test: fn(&char) -> bool| run.chars().any(|c| test(&c));
    run.len() >= MIN_TOKEN_CHARS
        && (has(char::is_ascii_digit) || (has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase)))
}
