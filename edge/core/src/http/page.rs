//! The HTML pages that the edge writes itself, for people who followed a link. They contain no script and nothing inline, and
//! cannot be framed.

use std::fmt;

use http::{StatusCode, header};

use super::web::Response;

/// Allows only the style sheet: no scripts, forms or frames.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Text escaped for HTML, between tags or in a quoted attribute.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => fmt::Write::write_char(f, other)?,
            }
        }
        Ok(())
    }
}

/// A link of a page. Neither part is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What it says.
    pub text: String,
    /// An address of the edge.
    pub address: String,
}

impl fmt::Display for Link {
    /// Writes it as a paragraph of HTML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<p><a href=\"{}\">{}</a></p>", Escaped(&self.address), Escaped(&self.text))
    }
}

/// A page about signing in. `main` is HTML, in which any text from outside must be [`Escaped`].
#[must_use]
pub fn page<B>(status: StatusCode, main: &fmt::Arguments<'_>) -> Response<B> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Sign-in</title>\
         <link rel=\"stylesheet\" href=\"/assets/page.css\"><main>{main}</main></html>",
    );
    let mut response = Response::bytes(status, "text/html; charset=utf-8", html.into_bytes());
    response.set(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_cannot_leave_its_element_or_attribute() {
        assert_eq!(Escaped(r#"a&"b'<c>é"#).to_string(), "a&amp;&quot;b&#39;&lt;c&gt;é");
        let link = Link { text: "<b>".to_owned(), address: "/x?a=\"&b".to_owned() };
        assert_eq!(link.to_string(), "<p><a href=\"/x?a=&quot;&amp;b\">&lt;b&gt;</a></p>");
    }
}
