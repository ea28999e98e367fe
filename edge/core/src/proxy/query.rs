//! Queries by which a framework takes a request for one of another method.

use url::form_urlencoded::parse;

/// The parameters that name a method: Rails, Laravel and Symfony read the first, others the names of the headers.
const OVERRIDES: [&str; 4] = ["_method", "x_http_method", "x_http_method_override", "x_method_override"];

/// Whether a parameter of a query names a method, in any spelling that some framework reads as one of these names.
pub(super) fn overrides_method(query: &str) -> bool {
    // Decoded twice: a server that decodes first finds separators that were encoded.
    let is_override = |name: &str| OVERRIDES.contains(&normal(name).as_str());
    let names = query.split(';').flat_map(|part| parse(part.as_bytes()).map(|(name, _)| name));
    names.into_iter().any(|name| {
        name.split(';').any(|part| is_override(part) || parse(part.as_bytes()).any(|(name, _)| is_override(&name)))
    })
}

/// A name as PHP reads it, which replaces characters that its variables cannot have, and drops spaces before the name. Then
/// without what others drop: case, controls, and the brackets of a list.
fn normal(name: &str) -> String {
    let is_dropped = |c: char| c.is_whitespace() || c.is_control();
    let name = name.trim_matches(is_dropped).trim_end_matches("[]").split('\0').next().unwrap_or_default();
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
            "_method%00x=DELETE",
            "a%26_method=DELETE",
            "_method%3DDELETE",
            "X-HTTP-Method-Override=DELETE",
            "x-http-method=DELETE",
        ] {
            assert!(overrides_method(query), "{query}");
        }
        for query in
            ["", "method=post", "payment_method=card", "a=_method", "_methods=1", "q=x%20_method", "%", "%zz=%"]
        {
            assert!(!overrides_method(query), "{query}");
        }
    }
}
