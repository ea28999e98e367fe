//! Which requests an upstream gets: a method and a path, or a method and everything below a path.

use http::Method;

use super::path::AllowedPath;

/// One allowed method and path. Paths are compared byte for byte, so they are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    method: Method,
    path: String,
    /// Whether the rule covers everything strictly below the path (`/repos/*`), instead of the path itself.
    is_prefix: bool,
    /// Whether a link or an image of a page may make the request, which cannot send `X-CSRF`. Only with `GET`.
    is_navigable: bool,
}

impl Rule {
    /// Reads `GET /user, GET /repos/*`. `None` if a rule is malformed or missing.
    #[must_use]
    pub fn parse_list(text: &str) -> Option<Vec<Self>> {
        text.split(',').map(|rule| Self::parse(rule.trim())).collect()
    }

    /// Reads one rule, such as `GET /repos/*` or `GET /files/* navigable`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (method, path) = text.split_once(' ')?;
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => return None,
        };
        let (path, is_navigable) = match path.strip_suffix(" navigable") {
            Some(path) if method == Method::GET => (path, true),
            Some(_) => return None,
            None => (path, false),
        };
        let (path, is_prefix) = match path.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (path, false),
        };
        // Elsewhere a star would be a literal character; the operator surely meant a wildcard.
        if path.contains('*') {
            return None;
        }
        // `/*` leaves an empty path, which allows everything. An operator may do that explicitly.
        let is_valid = (is_prefix && path.is_empty()) || AllowedPath::parse(path).is_some();
        is_valid.then(|| Self { method, path: path.to_owned(), is_prefix, is_navigable })
    }

    /// The allowed method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Whether a link or an image of a page may make the request.
    #[must_use]
    pub fn is_navigable(&self) -> bool {
        self.is_navigable
    }

    /// Whether the rule covers a path. A prefix ends where a segment ends (S93).
    #[must_use]
    pub fn covers(&self, path: &AllowedPath) -> bool {
        match path.as_str().strip_prefix(self.path.as_str()) {
            Some("") => !self.is_prefix,
            Some(rest) => self.is_prefix && rest.len() > 1 && rest.starts_with('/'),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_rules_are_refused() {
        for rule in [
            "",
            "GET",
            "GET/user",
            "get /user",
            "FETCH /user",
            "GET user",
            "GET  /user",
            "GET /user/",
            "GET /a/../b",
            "GET /a/*/b",
            "GET /a*",
            "GET /a?b",
            "GET //a",
            "CONNECT /a",
            "TRACE /a",
            "OPTIONS /a",
            "HEAD /a",
            "* /a",
            "GET *",
            "POST /a navigable",
            "DELETE /a/* navigable",
            "GET navigable",
            "GET /a  navigable",
            "GET /a navigable ",
            "GET /a Navigable",
            "GET /a navigable navigable",
            "navigable GET /a",
        ] {
            assert_eq!(Rule::parse(rule), None, "{rule:?}");
        }
        assert!(Rule::parse_list("GET /user,").is_none());
    }

    #[test]
    fn only_marked_rules_are_navigable() {
        let rules = Rule::parse_list("GET /files/* navigable, GET /photo navigable, GET /user").unwrap();
        assert_eq!(rules.iter().map(Rule::is_navigable).collect::<Vec<_>>(), [true, true, false]);
        assert!(rules[0].covers(&AllowedPath::parse("/files/a").unwrap()));
        assert!(rules[1].covers(&AllowedPath::parse("/photo").unwrap()));
    }

    #[test]
    fn s93_a_prefix_ends_at_a_segment_and_is_case_sensitive() {
        let covers = |rule: &str, path: &str| Rule::parse(rule).unwrap().covers(&AllowedPath::parse(path).unwrap());
        assert!(
            covers("GET /api/*", "/api/x") && covers("GET /api/*", "/api/x/y") && covers("GET /*", "/anything/at/all")
        );
        for path in ["/api", "/apix", "/apix/y", "/API/x", "/ap", "/x/api/y"] {
            assert!(!covers("GET /api/*", path), "{path}");
        }
        assert!(!covers("GET /user", "/user/keys") && !covers("GET /user", "/users") && !covers("GET /user", "/User"));
    }
}
