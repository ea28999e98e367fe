//! The members of a JSON object in a variable. Errors name the member and never show its value.

use serde_json::{Map, Value};

use super::super::vars::ConfigError;

/// The members of one object.
pub(super) struct Fields<'a> {
    key: &'static str,
    /// Where the object is, for errors: `channel 1`.
    place: String,
    members: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(key: &'static str, place: String, value: &'a Value) -> Result<Self, ConfigError> {
        match value {
            Value::Object(members) => Ok(Self { key, place, members }),
            _ => Err(ConfigError::new(key, format!("{place} must be an object"))),
        }
    }

    /// The error for a member.
    pub(super) fn error(&self, name: &str, problem: impl std::fmt::Display) -> ConfigError {
        ConfigError::new(self.key, format!("{}: {name} {problem}", self.place))
    }

    /// Rejects members with other names, which are probably misspelled.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), ConfigError> {
        match self.members.keys().find(|name| !names.contains(&name.as_str())) {
            Some(_) => Err(ConfigError::new(
                self.key,
                format!("{} has an unknown member; known are {}", self.place, names.join(", ")),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ConfigError> {
        self.read(name, Value::as_str, "must be a text")
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.read(name, Value::as_bool, "must be true or false")
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, ConfigError> {
        let whole = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        self.read(name, whole, "must be a whole number")
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Fields<'a>>, ConfigError> {
        let members = self.read(name, Value::as_object, "must be an object")?;
        Ok(members.map(|members| Fields { key: self.key, place: format!("{}: {name}", self.place), members }))
    }

    /// All members with their names.
    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a Value)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
        form: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.error(name, form))
    }
}
