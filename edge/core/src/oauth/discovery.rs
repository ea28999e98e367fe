//! A provider's endpoints, from its metadata (OpenID Connect Discovery, RFC 8414), with bounded staleness. Metadata that
//! contradicts the configuration, or is less safe, prevents the sign-in.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    document::Document,
    provider::{Kind, Provider, TENANT_PLACEHOLDER, Tenants},
};
use crate::{
    http::{
        address::{NetworkScope, network_scope},
        web::{Outgoing, without_slash},
    },
    runtime::{dependency::Dependency, platform::Platform, unavailable::Unavailable},
};

/// How long metadata is used before it is fetched again, in milliseconds.
const FRESH_MS: u64 = 60 * 60 * 1000;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A provider's endpoints and capabilities.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Where the browser is sent to sign in.
    pub authorization: Url,
    /// The token endpoint.
    pub token: Url,
    /// The signing keys; `None` for a provider without ID tokens.
    pub jwks: Option<Url>,
    /// The userinfo endpoint.
    pub userinfo: Option<Url>,
    /// The revocation endpoint (RFC 7009).
    pub revocation: Option<Url>,
    /// Where the browser is sent to end the provider's own session.
    pub end_session: Option<Url>,
    /// The endpoint for pushed authorization requests (RFC 9126).
    pub pushed_authorization: Option<Url>,
    /// Whether the provider sends `iss` in every callback (RFC 9207).
    pub sends_iss: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    dpop_signing_alg_values_supported: Option<Vec<String>>,
}

impl Document for Metadata {
    const KIND: &'static str = "metadata";
    const FRESH_MS: u64 = FRESH_MS;
    /// Endpoints change rarely, outages are frequent.
    const USABLE_MS: u64 = 24 * FRESH_MS;
    type Content = Endpoints;

    fn content(&self, provider: &Provider) -> Result<Endpoints, Unavailable> {
        match &provider.kind {
            Kind::GitHub { site, .. } => github_endpoints(site),
            Kind::Entra { authority: configured, .. } | Kind::OpenId { address: configured, .. } => {
                checked_endpoints(provider, self, configured)
            }
        }
    }
}

/// Checks that the provider answers, by a request that has no effect: for its metadata. GitHub has none and always passes.
///
/// # Errors
/// [`Unavailable`] if the provider does not answer.
pub async fn check_reachable(platform: &impl Platform, provider: &Provider) -> Result<(), Unavailable> {
    let Some(url) = metadata_url(provider) else { return Ok(()) };
    let response = platform.send(Outgoing::new(Method::GET, url?, TIMEOUT)).await?;
    match response.status.is_server_error() {
        true => Err(Unavailable::new(Dependency::IdentityProvider, format_args!("answers {}", response.status))),
        false => Ok(()),
    }
}

pub(super) fn metadata_url(provider: &Provider) -> Option<Result<Url, Unavailable>> {
    let (address, configured) = match &provider.kind {
        Kind::GitHub { .. } => return None,
        Kind::Entra { tenants, authority, .. } => {
            (format!("{}/{}/v2.0", without_slash(authority), tenants.segment()), authority)
        }
        Kind::OpenId { address, .. } => (without_slash(address).to_owned(), address),
    };
    Some(parse_endpoint(&format!("{address}/.well-known/openid-configuration"), configured))
}

/// The endpoints in metadata that agrees with the configuration.
fn checked_endpoints(provider: &Provider, metadata: &Metadata, configured: &Url) -> Result<Endpoints, Unavailable> {
    check_issuer(provider, metadata)?;
    check_capabilities(provider, metadata)?;
    let required = |text: &str| parse_endpoint(text, configured);
    let optional = |text: &Option<String>| text.as_deref().map(required).transpose();
    let pushed_authorization = optional(&metadata.pushed_authorization_request_endpoint)?;
    if metadata.require_pushed_authorization_requests && pushed_authorization.is_none() {
        return Err(contradiction("requires pushed authorization requests and does not say where"));
    }
    Ok(Endpoints {
        authorization: required(&metadata.authorization_endpoint)?,
        token: required(&metadata.token_endpoint)?,
        jwks: Some(required(&metadata.jwks_uri)?),
        userinfo: optional(&metadata.userinfo_endpoint)?,
        revocation: optional(&metadata.revocation_endpoint)?,
        end_session: if provider.ends_session { optional(&metadata.end_session_endpoint)? } else { None },
        pushed_authorization,
        sends_iss: metadata.authorization_response_iss_parameter_supported,
    })
}

fn check_issuer(provider: &Provider, metadata: &Metadata) -> Result<(), Unavailable> {
    let is_issuer = match &provider.kind {
        // A document for several tenants contains the literal placeholder (M72); some for a single tenant do, too.
        Kind::Entra { tenants: Tenants::Single(tenant), .. } => {
            metadata.issuer.replace(TENANT_PLACEHOLDER, tenant) == provider.issuer()
        }
        _ => metadata.issuer == provider.issuer(),
    };
    if is_issuer { Ok(()) } else { Err(contradiction("names another issuer than configured")) }
}

fn check_capabilities(provider: &Provider, metadata: &Metadata) -> Result<(), Unavailable> {
    // A list that is absent does not say.
    let lists =
        |list: &Option<Vec<String>>, wanted: &str| list.as_ref().map(|list| list.iter().any(|found| found == wanted));
    // Some support S256 without listing anything. A list without S256 would be a downgrade (S11).
    if !lists(&metadata.code_challenge_methods_supported, "S256").unwrap_or(provider.pkce_unlisted) {
        return Err(contradiction("does not offer PKCE with S256"));
    }
    if lists(&metadata.token_endpoint_auth_methods_supported, provider.client_auth.method()) == Some(false) {
        return Err(contradiction("does not offer the configured client authentication"));
    }
    let signs_with = |algorithm| lists(&metadata.id_token_signing_alg_values_supported, algorithm) != Some(false);
    if !signs_with("RS256") && !signs_with("ES256") {
        return Err(contradiction("offers ID tokens signed with neither RS256 nor ES256"));
    }
    if provider.dpop && lists(&metadata.dpop_signing_alg_values_supported, "ES256") == Some(false) {
        return Err(contradiction("does not offer DPoP with ES256"));
    }
    Ok(())
}

fn contradiction(detail: &str) -> Unavailable {
    Unavailable::new(Dependency::IdentityProvider, format_args!("metadata {detail}"))
}

pub(super) fn github_endpoints(site: &Url) -> Result<Endpoints, Unavailable> {
    let at = |path: &str| parse_endpoint(&format!("{}{path}", without_slash(site)), site);
    Ok(Endpoints {
        authorization: at("/login/oauth/authorize")?,
        token: at("/login/oauth/access_token")?,
        jwks: None,
        userinfo: None,
        revocation: None,
        end_session: None,
        pushed_authorization: None,
        sends_iss: false,
    })
}

/// Reads an endpoint from metadata. It must be as safe as the configured address: on the same host, or at a public host by
/// https (S53).
fn parse_endpoint(text: &str, configured: &Url) -> Result<Url, Unavailable> {
    let unsafe_endpoint = || {
        Unavailable::new(Dependency::IdentityProvider, "metadata names an endpoint that is not https at a public host")
    };
    let url = Url::parse(text).map_err(|_| unsafe_endpoint())?;
    let as_configured = url.scheme() == configured.scheme() && url.host() == configured.host();
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if plain && (as_configured || (url.scheme() == "https" && network_scope(&url) == NetworkScope::Public)) {
        Ok(url)
    } else {
        Err(unsafe_endpoint())
    }
}

#[cfg(test)]
mod tests;
