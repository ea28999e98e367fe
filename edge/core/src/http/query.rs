//! Query parameters of navigations, and fields of posted forms. Anybody may have written them.

use url::form_urlencoded;

/// Longest query that is read, in bytes. An authorization code of Entra's alone can have 2 KB.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// A parameter appears more than once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeated;

/// Parameters that may each appear once at most (S7).
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query. A query that is too long counts as empty.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self::of_form(query.filter(|query| query.len() <= MAX_QUERY_BYTES).unwrap_or_default().as_bytes())
    }

    /// Reads a body of the type `application/x-www-form-urlencoded`.
    pub(crate) fn of_form(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// [`Repeated`].
    pub(crate) fn one(&self, name: &str) -> Result<Option<String>, Repeated> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.cloned()),
            _ => Err(Repeated),
        }
    }
}
