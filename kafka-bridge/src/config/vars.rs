//! Access to the variables, and the error for a wrong one.

use std::collections::BTreeMap;

/// A variable is missing, unknown or wrong. Names the variable and never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct ConfigError {
    key: String,
    problem: String,
}

impl ConfigError {
    pub(super) fn new(key: &str, problem: impl Into<String>) -> Self {
        Self { key: key.to_owned(), problem: problem.into() }
    }
}

/// The variables. An empty one counts as unset.
pub(super) struct Vars<'a>(pub(super) &'a BTreeMap<String, String>);

impl<'a> Vars<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, key: &str) -> Result<&'a str, ConfigError> {
        self.get(key).ok_or_else(|| ConfigError::new(key, "is not set"))
    }

    pub(super) fn parse<T: std::str::FromStr>(
        &self,
        key: &str,
        default: Option<&'a str>,
        form: &str,
    ) -> Result<T, ConfigError> {
        let text = self.get(key).or(default).unwrap_or_default();
        text.parse().map_err(|_| ConfigError::new(key, form))
    }
}
