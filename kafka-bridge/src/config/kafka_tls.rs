//! `KAFKA_SSL_CA`, `KAFKA_SSL_CERTIFICATE` and `KAFKA_SSL_KEY`. Each is PEM or the path of a file with it.

use super::vars::{ConfigError, Vars};
use crate::kafka::{ClientIdentity, TlsError, TlsSettings};

const CA: &str = "KAFKA_SSL_CA";
const CERTIFICATE: &str = "KAFKA_SSL_CERTIFICATE";
const KEY: &str = "KAFKA_SSL_KEY";

/// With `uses_tls`, the settings. Without it, none of the variables may be set.
pub(super) fn tls_settings(vars: &Vars<'_>, uses_tls: bool) -> Result<Option<TlsSettings>, ConfigError> {
    if !uses_tls {
        // An operator who sets a certificate expects encryption, so it is not ignored.
        return match [CA, CERTIFICATE, KEY].into_iter().find(|key| vars.get(key).is_some()) {
            Some(key) => Err(ConfigError::new(key, "is set but KAFKA_SECURITY_PROTOCOL is without SSL")),
            None => Ok(None),
        };
    }
    let identity = match (pem(vars, CERTIFICATE)?, pem(vars, KEY)?) {
        (Some(certificate_pem), Some(key)) => Some(ClientIdentity { certificate_pem, key_pem: key.into() }),
        (None, None) => None,
        (None, Some(_)) => return Err(ConfigError::new(CERTIFICATE, "is not set but KAFKA_SSL_KEY is")),
        (Some(_), None) => return Err(ConfigError::new(KEY, "is not set but KAFKA_SSL_CERTIFICATE is")),
    };
    let settings = TlsSettings::new(pem(vars, CA)?, identity).map_err(|error| {
        let key = match error {
            TlsError::Ca(_) | TlsError::TrustStore(_) => CA,
            TlsError::Certificate(_) => CERTIFICATE,
            TlsError::Key(_) => KEY,
        };
        ConfigError::new(key, error.to_string())
    })?;
    Ok(Some(settings))
}

/// The text of a variable, or of the file that it names.
fn pem(vars: &Vars<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    let Some(value) = vars.get(key) else { return Ok(None) };
    if value.contains("-----BEGIN ") {
        return Ok(Some(value.to_owned()));
    }
    // The value is not shown: it may be a key in another form.
    let read = std::fs::read_to_string(value);
    let read = read.map_err(|error| ConfigError::new(key, format!("is neither PEM nor a readable file: {error}")))?;
    Ok(Some(read))
}
