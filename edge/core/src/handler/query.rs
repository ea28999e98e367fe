//! Queries of navigations, which anybody may have written.

/// Longest query read, in bytes. Entra's codes alone can have 2 KB.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// A query of which every used parameter may appear once at most (S7).
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let query = query.filter(|query| query.len() <= MAX_QUERY_BYTES).unwrap_or_default();
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// It is there more than once.
    pub(super) fn one(&self, name: &str) -> Result<Option<String>, &'static str> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.cloned()),
            _ => Err("parameter repeated"),
        }
    }
}
