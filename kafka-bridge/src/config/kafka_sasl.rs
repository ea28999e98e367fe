//! `KAFKA_SASL_*`: a password, or the token endpoint for `OAUTHBEARER`.

use url::Url;

use super::vars::{ConfigError, Vars};
use crate::kafka::{Sasl, SaslMechanism, TokenEndpoint};

const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
const PASSWORD: [&str; 2] = ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"];
const TOKEN: [&str; 4] =
    ["KAFKA_SASL_TOKEN_URL", "KAFKA_SASL_CLIENT_ID", "KAFKA_SASL_CLIENT_SECRET", "KAFKA_SASL_SCOPE"];

/// With `uses_sasl`, the credentials. An operator who sets a variable expects its use, so none is ignored.
pub(super) fn sasl(vars: &Vars<'_>, uses_sasl: bool) -> Result<Option<Sasl>, ConfigError> {
    if !uses_sasl {
        let all = [MECHANISM].into_iter().chain(PASSWORD).chain(TOKEN);
        unset(vars, all, "is set but KAFKA_SECURITY_PROTOCOL is without SASL")?;
        return Ok(None);
    }
    let mechanism = match vars.required(MECHANISM)? {
        "PLAIN" => SaslMechanism::Plain,
        "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
        "SCRAM-SHA-512" => SaslMechanism::ScramSha512,
        "OAUTHBEARER" => {
            unset(vars, PASSWORD, "is set but KAFKA_SASL_MECHANISM is OAUTHBEARER")?;
            return token_endpoint(vars).map(|endpoint| Some(Sasl::OauthBearer(endpoint)));
        }
        _ => return Err(ConfigError::new(MECHANISM, "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")),
    };
    unset(vars, TOKEN, "is set but KAFKA_SASL_MECHANISM is not OAUTHBEARER")?;
    let [username, password] = PASSWORD;
    let username = vars.required(username)?.to_owned();
    let password = vars.required(password)?.into();
    Ok(Some(Sasl::Password { mechanism, username, password }))
}

fn token_endpoint(vars: &Vars<'_>) -> Result<TokenEndpoint, ConfigError> {
    let [url_key, id, secret, scope] = TOKEN;
    let form = "must be an https URL without user and password";
    let url = Url::parse(vars.required(url_key)?).map_err(|_| ConfigError::new(url_key, form))?;
    // The secret would cross the network as plain text.
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !is_safe || !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::new(url_key, form));
    }
    Ok(TokenEndpoint {
        url,
        client_id: vars.required(id)?.to_owned(),
        client_secret: vars.required(secret)?.into(),
        scope: vars.get(scope).map(str::to_owned),
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn unset<'k>(vars: &Vars<'_>, keys: impl IntoIterator<Item = &'k str>, problem: &str) -> Result<(), ConfigError> {
    match keys.into_iter().find(|key| vars.get(key).is_some()) {
        Some(key) => Err(ConfigError::new(key, problem)),
        None => Ok(()),
    }
}
