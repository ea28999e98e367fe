//! The identity providers, and how each treats refresh tokens.

/// The scope of restricted tokens.
pub(crate) const RESTRICTED_SCOPE: &str = "mail";

/// One provider's behaviour.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProviderProfile {
    /// Its id in the configuration.
    pub(crate) provider: &'static str,
    /// The edge's path to an API that takes the provider's access tokens.
    pub(crate) edge_path: &'static str,
    /// The start of the upstream URL to which that path leads.
    pub(crate) api_url: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) token_url: &'static str,
    /// A refresh token works once, and each refresh issues a new one.
    pub(crate) rotates: bool,
    /// How it treats the second use of a refresh token.
    pub(crate) reuse_policy: ReusePolicy,
    /// A refresh invalidates the previous access tokens.
    pub(crate) invalidates_old_access_tokens: bool,
    /// It says when the user signed in, by its own clock.
    pub(crate) reports_auth_time: bool,
    /// It has a revocation endpoint.
    pub(crate) has_revocation_endpoint: bool,
    /// How often the edge may send a refresh token that was possibly consumed.
    pub(crate) max_sends: usize,
    /// A service that takes restricted tokens only.
    pub(crate) restricted: Option<RestrictedService>,
}

/// A service that takes tokens restricted to [`RESTRICTED_SCOPE`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RestrictedService {
    /// The edge's path to its API.
    pub(crate) edge_path: &'static str,
    /// The start of the upstream URL to which that path leads.
    pub(crate) api_url: &'static str,
}

/// How a provider treats a rotated refresh token that is used again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReusePolicy {
    /// It ends the grant with all its tokens (RFC 9700 §4.14).
    EndsGrant,
    /// It rejects the token.
    Rejects,
    /// It accepts a repetition within a minute as a retry.
    AcceptsRetry,
}

impl ProviderProfile {
    /// The provider with this token endpoint.
    pub(crate) fn of_token_endpoint(url: &str) -> Option<&'static Self> {
        PROVIDER_PROFILES.iter().find(|profile| profile.token_url == url)
    }

    /// The provider that issued a refresh token.
    pub(crate) fn of_refresh_token(token: &str) -> &'static Self {
        PROVIDER_PROFILES.iter().find(|profile| token.starts_with(&format!("rt.{}.", profile.provider))).unwrap()
    }

    /// Whether a URL leads to an API that takes this provider's tokens.
    pub(crate) fn has_api_at(&self, url: &str) -> bool {
        url.starts_with(self.api_url)
            || self.restricted.as_ref().is_some_and(|service| url.starts_with(service.api_url))
    }
}

pub(crate) static PROVIDER_PROFILES: &[ProviderProfile] = &[
    ProviderProfile {
        provider: "github",
        edge_path: "/bff/github/user",
        api_url: "https://api.github.com/user?",
        issuer: "https://github.com/login/oauth",
        token_url: "https://github.com/login/oauth/access_token",
        rotates: true,
        reuse_policy: ReusePolicy::Rejects,
        invalidates_old_access_tokens: true,
        reports_auth_time: false,
        has_revocation_endpoint: true,
        max_sends: 2,
        restricted: None,
    },
    ProviderProfile {
        provider: "entra",
        edge_path: "/bff/graph/v1.0/me",
        api_url: "https://graph.microsoft.com/v1.0/me?",
        issuer: "https://login.microsoftonline.com/5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90/v2.0",
        token_url: "https://login.microsoftonline.com/5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90/oauth2/v2.0/token",
        rotates: false,
        reuse_policy: ReusePolicy::AcceptsRetry,
        invalidates_old_access_tokens: false,
        reports_auth_time: true,
        has_revocation_endpoint: false,
        max_sends: usize::MAX, // no use consumes it
        restricted: Some(RestrictedService {
            edge_path: "/bff/entra-mail/me",
            api_url: "https://mail.entra.example/me?",
        }),
    },
    // Strict (RFC 9700 §4.14): the second use of a refresh token ends the grant, so the edge never sends one twice.
    ProviderProfile {
        provider: "strict",
        edge_path: "/bff/strict/me",
        api_url: "https://api.strict.example/me?",
        issuer: "https://strict.example",
        token_url: "https://strict.example/token",
        rotates: true,
        reuse_policy: ReusePolicy::EndsGrant,
        invalidates_old_access_tokens: false,
        reports_auth_time: true,
        has_revocation_endpoint: true,
        max_sends: 1,
        restricted: Some(RestrictedService {
            edge_path: "/bff/strict-mail/me",
            api_url: "https://mail.strict.example/me?",
        }),
    },
    // As strict, but wrongly configured as a provider that accepts a retry.
    ProviderProfile {
        provider: "hasty",
        edge_path: "/bff/hasty/me",
        api_url: "https://api.hasty.example/me?",
        issuer: "https://hasty.example",
        token_url: "https://hasty.example/token",
        rotates: true,
        reuse_policy: ReusePolicy::EndsGrant,
        invalidates_old_access_tokens: false,
        reports_auth_time: true,
        has_revocation_endpoint: true,
        max_sends: 2,
        restricted: Some(RestrictedService {
            edge_path: "/bff/hasty-mail/me",
            api_url: "https://mail.hasty.example/me?",
        }),
    },
    // As strict, but it accepts a retry within a minute, for clients that lost the answer.
    ProviderProfile {
        provider: "patient",
        edge_path: "/bff/patient/me",
        api_url: "https://api.patient.example/me?",
        issuer: "https://patient.example",
        token_url: "https://patient.example/token",
        rotates: true,
        reuse_policy: ReusePolicy::AcceptsRetry,
        invalidates_old_access_tokens: false,
        reports_auth_time: true,
        has_revocation_endpoint: true,
        max_sends: 2,
        restricted: Some(RestrictedService {
            edge_path: "/bff/patient-mail/me",
            api_url: "https://mail.patient.example/me?",
        }),
    },
];

/// The profile of a configured provider.
pub(crate) fn profile(provider: &str) -> &'static ProviderProfile {
    PROVIDER_PROFILES.iter().find(|profile| profile.provider == provider).unwrap()
}
