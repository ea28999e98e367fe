//! The upstream APIs behind `/bff/{service}`: those of the built-in providers, and those of `SERVICES`.
//!
//! - `credential`: which token a declared service is called with

use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;
use url::Url;

use self::credential::{DeclaredInstallation, DeclaredToken};
use super::{Source, reader::Reader};
use crate::{
    http::{
        address::{NetworkScope, network_scope},
        json::{StrictObject, non_null},
    },
    oauth::{
        provider::{Kind, Provider},
        restriction::MAX_RESTRICTIONS,
    },
    proxy::{
        header::named::{is_always_forwarded, nameable},
        path::AllowedPath,
        rule::Rule,
        service::{Credential, DEFAULT_BODY_LIMIT_BYTES, DEFAULT_TIMEOUT, MAX_BODY_LIMIT_BYTES, Service},
    },
};

mod credential;

const KEY: &str = "SERVICES";
/// Names of the built-in services.
const BUILT_IN: [&str; 2] = ["github", "graph"];
/// The request headers that Microsoft Graph documents for its callers: advanced queries, preferences such as time zones and
/// page sizes, the id of a request for support, and the session of a workbook.
const GRAPH_HEADERS: [&str; 4] = ["consistencylevel", "prefer", "client-request-id", "workbook-session-id"];
/// The version of GitHub's API.
const GITHUB_HEADERS: [&str; 1] = ["x-github-api-version"];
const MAX_TIMEOUT_SECONDS: u64 = 300;
const MAX_REQUEST_HEADERS: usize = 16;

/// An entry of `SERVICES`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    name: String,
    url: String,
    provider: Option<String>,
    #[serde(default, deserialize_with = "non_null")]
    token: Option<StrictObject<DeclaredToken>>,
    #[serde(default)]
    shares_token: bool,
    installation: Option<StrictObject<DeclaredInstallation>>,
    #[serde(default, deserialize_with = "non_null")]
    users_of: Option<Vec<String>>,
    allow: Vec<String>,
    #[serde(default)]
    private_network: bool,
    body_limit_kib: Option<usize>,
    timeout_seconds: Option<u64>,
    #[serde(default)]
    request_headers: Vec<String>,
    #[serde(default)]
    refuse_method_override: bool,
}

impl<S: Source> Reader<'_, S> {
    pub(super) fn services(&mut self, providers: &[Provider]) -> Vec<Service> {
        let mut services = self.built_in_services(providers);
        let Some(text) = self.optional(KEY) else { return services };
        let declared: Vec<StrictObject<Declared>> = match serde_json::from_str(&text) {
            Ok(declared) => declared,
            Err(error) => {
                self.report(KEY, problem_of(&error, "services"));
                return services;
            }
        };
        for (index, StrictObject(declared)) in declared.into_iter().enumerate() {
            match self.service(declared, providers, &services) {
                Ok(service) => services.push(service),
                Err(problem) => self.report(KEY, format!("entry {}: {problem}", index + 1)),
            }
        }
        services
    }

    /// Adds the services' restrictions to their providers, because users consent to them at sign-in.
    pub(super) fn restrictions(&mut self, providers: &mut [Provider], services: &[Service]) {
        for provider in providers {
            for service in services {
                if let Credential::Provider { id, restriction: Some(restriction) } = &service.credential
                    && *id == provider.id
                    && !provider.restrictions.contains(restriction)
                {
                    provider.restrictions.push(restriction.clone());
                }
            }
            if provider.restrictions.len() > MAX_RESTRICTIONS {
                self.report(KEY, format!("has more than {MAX_RESTRICTIONS} different `token` for {}", provider.id));
            }
        }
    }

    fn built_in_services(&mut self, providers: &[Provider]) -> Vec<Service> {
        let mut services = Vec::new();
        for provider in providers {
            let (name, base, key, default, headers_key, headers) = match &provider.kind {
                Kind::GitHub { api, .. } => {
                    let (base, headers) = (Some(api.clone()), &GITHUB_HEADERS[..]);
                    ("github", base, "GITHUB_ALLOW", "GET /user", "GITHUB_REQUEST_HEADERS", headers)
                }
                Kind::Entra { .. } => {
                    let base = self.url("GRAPH_URL", Some("https://graph.microsoft.com"));
                    ("graph", base, "GRAPH_ALLOW", "GET /v1.0/me", "GRAPH_REQUEST_HEADERS", &GRAPH_HEADERS[..])
                }
                Kind::OpenId { .. } => continue,
            };
            let request_headers = self.built_in_request_headers(headers_key, headers);
            let rules = Rule::parse_list(&self.optional(key).unwrap_or_else(|| default.to_owned()));
            let Some(rules) = rules else {
                self.report(key, "must be rules such as `GET /user, GET /repos/*`");
                continue;
            };
            let Some(base) = base else { continue };
            services.push(Service {
                name: name.to_owned(),
                credential: Credential::Provider { id: provider.id.clone(), restriction: None },
                users_of: None,
                base,
                rules,
                body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES,
                timeout: DEFAULT_TIMEOUT,
                gets_client_address: false,
                request_headers,
                refuses_method_override: false,
            });
        }
        services
    }

    fn service(&self, declared: Declared, providers: &[Provider], others: &[Service]) -> Result<Service, &'static str> {
        let Declared { name, url, provider, token, shares_token, installation, allow, private_network, .. } = declared;
        let (users_of, body_limit_kib, timeout_seconds) =
            (declared.users_of, declared.body_limit_kib, declared.timeout_seconds);
        if !is_service_name(&name) {
            return Err("`name` must be 1-32 lower-case letters, digits and `-`");
        }
        if BUILT_IN.contains(&name.as_str()) || others.iter().any(|other| other.name == name) {
            return Err("`name` is taken");
        }
        let credential = match (provider, installation) {
            (Some(id), None) => {
                let Some(provider) = providers.iter().find(|provider| provider.id == id) else {
                    return Err("`provider` is not a configured provider");
                };
                let restriction = token.map(|StrictObject(token)| token.check(provider)).transpose()?;
                Credential::Provider { id, restriction }
            }
            (None, Some(_)) if token.is_some() => return Err("`token` is for services of a `provider`"),
            (None, Some(StrictObject(installation))) => Credential::Installation(installation.check()?),
            _ => return Err("must have either `provider` or `installation`"),
        };
        let is_known = |id: &String| providers.iter().any(|provider| provider.id == *id);
        match &users_of {
            Some(ids) if ids.is_empty() || !ids.iter().all(is_known) => {
                return Err("`users_of` must be ids of configured providers, at least one");
            }
            // The app's token does not limit users, so the operator must say whose users the service is for.
            None if matches!(credential, Credential::Installation(_)) && providers.len() > 1 => {
                return Err("must say with `users_of` which providers' users may call it with its `installation`");
            }
            _ => {}
        }
        let rules: Option<Vec<Rule>> = allow.iter().map(|rule| Rule::parse(rule)).collect();
        let Some(rules) = rules.filter(|rules| !rules.is_empty()) else {
            return Err("`allow` must be rules such as \"GET /user\" and \"GET /repos/*\"");
        };
        let body_limit_bytes = match body_limit_kib.map(|kib| kib.saturating_mul(1024)) {
            None => DEFAULT_BODY_LIMIT_BYTES,
            Some(bytes @ 1..=MAX_BODY_LIMIT_BYTES) => bytes,
            Some(_) => return Err("`body_limit_kib` must be from 1 to 102400"),
        };
        let timeout = match timeout_seconds {
            None => DEFAULT_TIMEOUT,
            Some(seconds @ 1..=MAX_TIMEOUT_SECONDS) => Duration::from_secs(seconds),
            Some(_) => return Err("`timeout_seconds` must be from 1 to 300"),
        };
        let Some(request_headers) = self.request_headers(&declared.request_headers) else {
            return Err(
                "`request_headers` must be names of at most 16 headers, none of identity, origin, credentials or connection",
            );
        };
        let base = self.service_url(&url, private_network)?;
        let gets_its_token = |other: &Service| other.credential == credential && other.base.origin() != base.origin();
        if !shares_token && others.iter().any(gets_its_token) {
            return Err(match credential {
                Credential::Provider { .. } => {
                    "would get the token of a service elsewhere: it needs a `token` of its own, or `shares_token`"
                }
                Credential::Installation(_) => {
                    "would get the token of a service elsewhere: it needs an `installation` of its own, or `shares_token`"
                }
            });
        }
        Ok(Service {
            name,
            credential,
            users_of,
            base,
            rules,
            body_limit_bytes,
            timeout,
            gets_client_address: true,
            request_headers,
            refuses_method_override: declared.refuse_method_override,
        })
    }

    /// The headers that a built-in service gets: those of its API, and those of a setting.
    fn built_in_request_headers(&mut self, key: &'static str, documented: &[&str]) -> Vec<HeaderName> {
        let more = self.optional(key);
        let more = more.iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_owned());
        let named = self.request_headers(&more.collect::<Vec<_>>());
        if named.is_none() {
            self.report(
                key,
                "must be names of at most 16 headers, none of identity, origin, credentials or connection",
            );
        }
        let documented = documented.iter().filter_map(|name| nameable(name));
        sorted(documented.chain(named.unwrap_or_default()).collect())
    }

    /// The headers that a service gets in addition to those of every service. `None`: it may not name them.
    fn request_headers(&self, names: &[String]) -> Option<Vec<HeaderName>> {
        // A proxy in front of the edge sets it, and clients must not be able to choose what an upstream sees in it.
        let of_proxy = self.optional("CLIENT_ADDRESS_HEADER");
        let is_of_proxy = |name: &str| of_proxy.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(name));
        let named = names.iter().map(|name| nameable(name).filter(|_| !is_of_proxy(name)));
        let named = named.collect::<Option<Vec<_>>>().filter(|named| named.len() <= MAX_REQUEST_HEADERS)?;
        Some(sorted(named.into_iter().filter(|name| !is_always_forwarded(name)).collect()))
    }

    fn service_url(&self, text: &str, private_network: bool) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "`url` is not a URL")?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("`url` must have no user, query or fragment");
        }
        let path = url.path().trim_end_matches('/');
        if !path.is_empty() && AllowedPath::parse(path).is_none() {
            return Err("`url` must have a plain path");
        }
        if !self.scheme_is_safe(&url) {
            return Err("`url` must be https:// (http:// only for loopback with DEVELOPMENT=loopback)");
        }
        match network_scope(&url) {
            NetworkScope::Public => Ok(url),
            NetworkScope::Loopback if private_network || self.http_allowed => Ok(url),
            NetworkScope::Private if private_network => Ok(url),
            NetworkScope::Loopback | NetworkScope::Private => {
                Err("`url` leads to a private network: `private_network` must be true if that is meant")
            }
            NetworkScope::Metadata => Err("`url` must not be a link-local or metadata address"),
        }
    }
}

/// Each header once.
fn sorted(mut names: Vec<HeaderName>) -> Vec<HeaderName> {
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

fn is_service_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Describes a JSON error: field names and a position, never a value, on one line.
pub(super) fn problem_of(error: &serde_json::Error, of: &str) -> String {
    let text = error.to_string().replace(char::is_control, "");
    if ["unknown field", "missing field", "duplicate field", "a name twice"].iter().any(|known| text.starts_with(known))
    {
        return format!("is not as documented: {text}");
    }
    format!("is not a JSON list of {of} as documented: line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests;
