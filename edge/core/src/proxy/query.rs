//! Queries by which a framework takes a request for one of another method.

use url::form_urlencoded::parse;

/// The parameters that name a method: Rails, Laravel and Symfony read the first, Google's servers (`$httpMethod`) and
/// Salesforce's (`_HttpMethod`) the next, others the names of the headers.
const OVERRIDES: [&str; 6] =
    ["_method", "_httpmethod", "httpmethod", "x_http_method", "x_http_method_override", "x_method_override"];

/// Whether a parameter of a query names a method, in any spelling that some framework reads as one of these names.
pub(super) fn overrides_method(query: &str) -> bool {
    // Decoded twice: a server that decodes first finds separators that were encoded.
    let is_override = |name: &str| {
        let name = trimmed(name);
        [of_list(name), bare(name)].into_iter().any(|name| OVERRIDES.contains(&normal(name).as_str()))
    };
    let names = query.split(';').flat_map(|part| parse(part.as_bytes()).map(|(name, _)| name));
    names.into_iter().any(|name| {
        name.split(';').any(|part| is_override(part) || parse(part.as_bytes()).any(|(name, _)| is_override(&name)))
    })
}

/// A name without what some servers drop: spaces and controls around it, and what follows NUL.
fn trimmed(name: &str) -> &str {
    let name = name.split('\0').find(|part| !part.is_empty()).unwrap_or_default();
    name.trim_matches(|c: char| c.is_whitespace() || c.is_control())
}

/// The name of the list or table that a parameter is part of: `a` of `a[]` and of `a[b]`.
fn of_list(name: &str) -> &str {
    let bracket = name.char_indices().skip(1).find(|(_, c)| *c == '[');
    bracket.and_then(|(at, _)| name.get(..at)).unwrap_or(name)
}

/// A name without brackets around it.
fn bare(name: &str) -> &str {
    trimmed(name.trim_matches(['[', ']']))
}

/// A name as PHP writes it, which replaces characters that its variables cannot have; in lower case.
fn normal(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_in_any_spelling() {
        for query in [
            "_method=DELETE",
            "_method",
            "a=1&_method=PUT",
            "a=1;_method=PUT",
            "_METHOD=delete",
            "%5Fmethod=DELETE",
            "%255Fmethod=DELETE",
            "_%6dethod=DELETE",
            "+_method=DELETE",
            "%20_method=DELETE",
            ".method=DELETE",
            "[method=DELETE",
            "_method[]=DELETE",
            "_method[a]=DELETE",
            "[_method]=DELETE",
            "[[_method]]=DELETE",
            "%5B_method%5D=DELETE",
            "%5b%20_method%20%5d[]=DELETE",
            "[]_method=DELETE",
            "]_method=DELETE",
            "$httpMethod=DELETE",
            "%24httpMethod=DELETE",
            "httpMethod=DELETE",
            "_HttpMethod=PATCH",
            "_method%00x=DELETE",
            "a%26_method=DELETE",
            "_method%3DDELETE",
            "X-HTTP-Method-Override=DELETE",
            "x-http-method=DELETE",
        ] {
            assert!(overrides_method(query), "{query}");
        }
        for query in [
            "",
            "method=post",
            "payment_method=card",
            "a=_method",
            "_methods=1",
            "q=x%20_method",
            "%",
            "%zz=%",
            "[]=1",
            "method[]=post",
            "[payment]=card",
        ] {
            assert!(!overrides_method(query), "{query}");
        }
    }
}
