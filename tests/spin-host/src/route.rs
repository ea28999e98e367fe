//! Routes of the HTTP trigger: an exact path, or `/prefix/...` for a prefix and everything below it.

/// The component's routes, longest first.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    raw: String,
    /// The route without its wildcard.
    prefix: String,
    wildcard: bool,
}

/// A route of a kind that this host does not support.
#[derive(Debug, thiserror::Error)]
#[error("route {0:?} is neither a path nor a path with /... at its end")]
pub(crate) struct RouteError(String);

impl Routes {
    /// Parses routes as they are written in the manifest.
    pub(crate) fn new(routes: &[String]) -> Result<Self, RouteError> {
        let mut routes = routes.iter().map(|raw| Route::new(raw)).collect::<Result<Vec<_>, _>>()?;
        routes.sort_by_key(|route| std::cmp::Reverse((route.prefix.len(), !route.wildcard)));
        Ok(Self(routes))
    }

    /// The longest route that matches `path`.
    pub(crate) fn matching(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| route.rest(path).is_some())
    }
}

impl Route {
    fn new(raw: &str) -> Result<Self, RouteError> {
        let (prefix, wildcard) = match raw.strip_suffix("/...") {
            Some(prefix) => (prefix, true),
            None => (raw.trim_end_matches('/'), false),
        };
        // Named segments and wildcards within the path are not supported.
        if !raw.starts_with('/') || prefix.contains(':') || prefix.contains("...") {
            return Err(RouteError(raw.to_owned()));
        }
        Ok(Self { raw: raw.to_owned(), prefix: prefix.to_owned(), wildcard })
    }

    /// The part of `path` that the wildcard matches; `None` if the route does not match.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&self.prefix)?;
        let matches = rest.is_empty() || rest == "/" || (self.wildcard && rest.starts_with('/'));
        matches.then_some(rest)
    }

    /// Spin's headers about the matched route.
    pub(crate) fn headers(&self, path: &str) -> [(&'static str, String); 4] {
        let path_info = if self.wildcard { self.rest(path).unwrap_or_default() } else { "" };
        [
            ("spin-path-info", path_info.to_owned()),
            ("spin-matched-route", self.raw.clone()),
            ("spin-raw-component-route", self.raw.clone()),
            ("spin-component-route", self.prefix.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_matching_route_is_chosen() {
        let routes = Routes::new(&["/...".to_owned(), "/auth/...".to_owned(), "/auth/session".to_owned()]).unwrap();
        let matched = |path| routes.matching(path).map(|route| route.raw.as_str());
        assert_eq!(matched("/"), Some("/..."));
        assert_eq!(matched("/authentic"), Some("/..."));
        assert_eq!(matched("/auth"), Some("/auth/..."));
        assert_eq!(matched("/auth/session"), Some("/auth/session"));
        assert_eq!(matched("/auth/session/x"), Some("/auth/..."));
        assert!(Routes::new(&["/user/:id".to_owned()]).is_err());
    }
}
