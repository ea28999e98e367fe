//! OpenID providers by discovery: `OIDC_PROVIDERS` and `OIDC_CLIENT_SECRETS`.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{Source, provider::redirect_uri, reader::Reader, service::problem_of};
use crate::{
    http::{
        address::{NetworkScope, network_scope},
        json::{StrictObject, UniqueMap, non_null},
        origin::Origin,
    },
    oauth::{
        client_key::ClientKey,
        prompt::Prompt,
        provider::{ClientAuth, Kind, Provider, RefreshPolicy},
        restriction::is_scope,
    },
};

const PROVIDERS: &str = "OIDC_PROVIDERS";
const SECRETS: &str = "OIDC_CLIENT_SECRETS";
/// Most OpenID providers per deployment.
const MAX_PROVIDERS: usize = 16;
/// Shorter than a GUID, so that no id equals an Entra tenant's: ids are the tenant part of users' identities.
const MAX_ID_BYTES: usize = 32;
/// Ids with a meaning of their own.
const RESERVED: [&str; 3] = ["entra", "github", "graph"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    name: Option<String>,
    issuer: String,
    client_id: String,
    #[serde(default)]
    auth: Auth,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    dpop: bool,
    audience: Option<String>,
    #[serde(default, deserialize_with = "non_null")]
    max_age_seconds: Option<u64>,
    #[serde(default, deserialize_with = "non_null")]
    prompt: Option<Prompt>,
    #[serde(default = "yes")]
    retry_lost_refresh: bool,
    #[serde(default)]
    strict_logout_typ: bool,
    #[serde(default)]
    pkce_unlisted: bool,
    #[serde(default = "yes")]
    end_session: bool,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Auth {
    #[default]
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
}

fn yes() -> bool {
    true
}

impl<S: Source> Reader<'_, S> {
    pub(super) fn openid_providers(&mut self, public_origin: &Origin) -> Vec<Provider> {
        let entries: Vec<StrictObject<Entry>> =
            match serde_json::from_str(&self.optional(PROVIDERS).unwrap_or("[]".to_owned())) {
                Ok(entries) => entries,
                Err(error) => self.reject(PROVIDERS, problem_of(&error, "providers")).unwrap_or_default(),
            };
        let secrets = serde_json::from_str(&self.optional(SECRETS).unwrap_or("{}".to_owned()));
        let Ok(UniqueMap::<Value>(mut secrets)) = secrets else {
            self.report(SECRETS, "must be a JSON object of a secret or private JWK by provider id, no id twice");
            return Vec::new();
        };
        if entries.len() > MAX_PROVIDERS {
            self.report(PROVIDERS, format!("must not hold more than {MAX_PROVIDERS}"));
        }
        let mut providers: Vec<Provider> = Vec::new();
        for StrictObject(entry) in entries.into_iter().take(MAX_PROVIDERS) {
            if providers.iter().any(|provider| provider.id == entry.id) {
                self.report(PROVIDERS, "must not hold an id twice");
                continue;
            }
            let secret = secrets.remove(&entry.id);
            providers.extend(self.openid_provider(entry, secret, public_origin));
        }
        // An unused secret means a mistyped id.
        if !secrets.is_empty() && self.problems.is_empty() {
            self.report(SECRETS, "holds an id that OIDC_PROVIDERS does not");
        }
        providers
    }

    fn openid_provider(&mut self, entry: Entry, secret: Option<Value>, public_origin: &Origin) -> Option<Provider> {
        let Entry { id, name, issuer, client_id, auth, scopes, dpop, audience, max_age_seconds, prompt, .. } = entry;
        let is_id = !id.is_empty()
            && id.len() <= MAX_ID_BYTES
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_id || RESERVED.contains(&id.as_str()) {
            return self.reject(PROVIDERS, "has an id that is reserved or not 1 to 32 of a-z, 0-9 and `-`");
        }
        if client_id.is_empty() {
            return self.reject(PROVIDERS, format!("has no client_id for `{id}`"));
        }
        let Some(address) = self.issuer_address(&issuer) else {
            return self.reject(
                PROVIDERS,
                format!(
                    "has an issuer for `{id}` that is not https:// at a public host, without user, query or fragment"
                ),
            );
        };
        let scopes = scopes.unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).to_vec());
        if !scopes.iter().any(|scope| scope == "openid") || !scopes.iter().all(|scope| is_scope(scope)) {
            return self.reject(
                PROVIDERS,
                format!("must list scopes of printable characters with `openid` among them for `{id}`"),
            );
        }
        let client_auth = self.openid_client_auth(&id, auth, secret)?;
        Some(Provider {
            name: name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| id.clone()),
            client_id,
            client_auth,
            redirect_uri: redirect_uri(public_origin, &id),
            id,
            scopes,
            audience,
            restrictions: Vec::new(),
            max_age_seconds,
            prompt,
            dpop,
            pkce_unlisted: entry.pkce_unlisted,
            ends_session: entry.end_session,
            strict_logout_typ: entry.strict_logout_typ,
            refresh: RefreshPolicy::openid(entry.retry_lost_refresh),
            kind: Kind::OpenId { issuer, address },
        })
    }

    fn openid_client_auth(&mut self, id: &str, auth: Auth, secret: Option<Value>) -> Option<ClientAuth> {
        let text = |secret: Option<Value>| match secret {
            Some(Value::String(text)) if !text.is_empty() => Some(SecretString::from(text)),
            _ => None,
        };
        let found = match auth {
            Auth::ClientSecretBasic | Auth::ClientSecretPost => match text(secret) {
                Some(secret) if matches!(auth, Auth::ClientSecretBasic) => {
                    Some(ClientAuth::Basic(self.check_strength(SECRETS, secret)?))
                }
                Some(secret) => Some(ClientAuth::Post(self.check_strength(SECRETS, secret)?)),
                None => None,
            },
            Auth::PrivateKeyJwt => {
                let jwk = match secret {
                    Some(Value::String(text)) => text,
                    Some(object) => object.to_string(),
                    None => String::new(),
                };
                match ClientKey::from_jwk(&jwk) {
                    Ok(key) => Some(ClientAuth::PrivateKey(Box::new(key))),
                    Err(error) => return self.reject(SECRETS, format!("for `{id}` {error}")),
                }
            }
        };
        found.or_else(|| self.reject(SECRETS, format!("has no secret for `{id}`")))
    }

    /// An issuer as the address its metadata is found under (RFC 8414 §2: no query, no fragment).
    fn issuer_address(&self, issuer: &str) -> Option<Url> {
        let url = Url::parse(issuer).ok()?;
        let plain =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        let public = match network_scope(&url) {
            NetworkScope::Public => true,
            NetworkScope::Loopback => self.http_allowed,
            NetworkScope::Private | NetworkScope::Metadata => false,
        };
        (plain && public && self.scheme_is_safe(&url)).then_some(url)
    }
}
