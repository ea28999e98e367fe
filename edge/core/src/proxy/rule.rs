//! Which requests an upstream gets: a method and a path, or a method and everything below a path.

use http::Method;

use super::path::AllowedPath;

/// One allowed method and path. The decoded segments are compared, so `a@b` covers `a%40b`. They are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    method: Method,
    segments: Vec<String>,
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
        // `/*` leaves an empty path, which allows everything. An operator may do that explicitly. `/` is the service's own URL,
        // which `/*` does not cover.
        let segments = match path {
            "" if is_prefix => Vec::new(),
            "/" if is_prefix => return None,
            _ => AllowedPath::below_service(path)?.segments().to_vec(),
        };
        // A server that cuts a path off at one of the first two, or takes one of the others for a wildcard, would read it as
        // one that the rule does not cover (S161).
        let is_read_otherwise = segments.iter().any(|segment| segment.contains(['?', '#', '"', '<', '>']));
        let is_slash_doubled = is_prefix && segments.last().is_some_and(String::is_empty);
        (!is_read_otherwise && !is_slash_doubled).then_some(Self { method, segments, is_prefix, is_navigable })
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

    /// Whether the rule covers a path. A prefix ends where a segment ends (S93), and does not cover itself with a slash.
    #[must_use]
    pub fn covers(&self, path: &AllowedPath) -> bool {
        match path.segments().strip_prefix(self.segments.as_slice()) {
            Some([]) => !self.is_prefix,
            Some([first, ..]) => self.is_prefix && !first.is_empty(),
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
            "GET /a//",
            "GET /a//*",
            "GET //*",
            "GET //",
            "GET /a%23b",
            "GET /a%3Fb/*",
            "GET /a%22b",
            "GET /%3Ca%3E/*",
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
    fn s161_only_a_rule_of_its_own_covers_the_services_own_url() {
        let covers =
            |rule: &str, path: &str| Rule::parse(rule).unwrap().covers(&AllowedPath::below_service(path).unwrap());
        assert!(covers("POST /", "/") && covers("GET / navigable", "/"));
        for (rule, path) in [("GET /*", "/"), ("GET /a", "/"), ("GET /a/", "/"), ("GET /", "/a"), ("GET /", "/a/")] {
            assert!(!covers(rule, path), "{rule} {path}");
        }
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

    #[test]
    fn s161_a_trailing_slash_and_an_escape_are_part_of_what_a_rule_covers() {
        let covers = |rule: &str, path: &str| Rule::parse(rule).unwrap().covers(&AllowedPath::parse(path).unwrap());
        for (rule, path, is_covered) in [
            ("GET /items/", "/items/", true),
            ("GET /items/", "/items", false),
            ("GET /items", "/items/", false),
            ("GET /items/", "/items/7", false),
            ("GET /items/*", "/items/", false),
            ("GET /items/*", "/items/7/", true),
            ("GET /items/7/", "/items/7/", true),
            ("GET /users/a@b", "/users/a%40b", true),
            ("GET /users/a%40b", "/users/a@b", true),
            ("GET /users/a%40b/*", "/users/a@b/c%23d", true),
            ("GET /users/a%2Bb", "/users/a b", false),
            ("GET /users/*", "/users/x%23EXT%23%40y.example", true),
            ("GET /users/*", "/users%23/x", false),
        ] {
            let Some(path) = AllowedPath::parse(path) else {
                assert!(!is_covered, "{path}");
                continue;
            };
            assert_eq!(covers(rule, path.as_str()), is_covered, "{rule} {path:?}");
        }
    }
}
