//! The user whom an event belongs to. The edge takes it from the session, never from a body.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest tenant or user part, in bytes. Entra's `tid` and `oid` have 36, GitHub's ids at most 20.
const MAX_PART_BYTES: usize = 128;

/// A user within a tenant. Its text form `tenant:user` is the Kafka record key in both directions.
///
/// Parts are limited to characters that need no escaping in a header, a key, a URL or a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    tenant: String,
    user: String,
}

/// Why a text is not a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// There is no `:` between tenant and user.
    #[error("a subject is written tenant:user")]
    NoSeparator,
    /// A part is empty, too long, or contains a character other than `A-Z a-z 0-9 . _ - ~`.
    #[error("a subject's part is empty, longer than 128 bytes, or holds an illegal character")]
    IllegalPart,
}

impl Subject {
    /// Builds a subject from its parts.
    ///
    /// # Errors
    /// [`SubjectError::IllegalPart`] if a part is empty, too long or contains an illegal character.
    pub fn new(tenant: &str, user: &str) -> Result<Self, SubjectError> {
        if !is_part(tenant) || !is_part(user) {
            return Err(SubjectError::IllegalPart);
        }
        Ok(Self { tenant: tenant.to_owned(), user: user.to_owned() })
    }

    /// Reads the record-key form `tenant:user`.
    ///
    /// # Errors
    /// [`SubjectError`] if the text is not of that form.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let (tenant, user) = text.split_once(':').ok_or(SubjectError::NoSeparator)?;
        Self::new(tenant, user)
    }

    /// The tenant: an Entra tenant id, or the name of a provider without tenants.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The user within the tenant: the provider's immutable id.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

fn is_part(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_PART_BYTES
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~'))
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tenant, self.user)
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_form_round_trips() {
        let subject = Subject::new("github", "583231").unwrap();
        assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
    }

    #[test]
    fn a_second_colon_cannot_move_the_boundary() {
        assert_eq!(Subject::parse("a:b:c"), Err(SubjectError::IllegalPart));
        assert_eq!(Subject::new("a:b", "c"), Err(SubjectError::IllegalPart));
    }

    #[test]
    fn header_and_key_injection_is_rejected() {
        for bad in ["", ":", "a:", ":b", "a:b\r\nx", "a:b c", "a:ü", "nokey"] {
            assert!(Subject::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Subject::new("a", &"x".repeat(129)).is_err());
    }
}
