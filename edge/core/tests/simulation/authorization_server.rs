//! The providers' authorization servers: their metadata, their grants, and their token and revocation endpoints.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use causeway_core::testing::{
    entra::TENANT,
    platform::{Answer, Sent},
};
use serde_json::{Value, json};

use crate::{
    provider_profile::{PROVIDER_PROFILES, ProviderProfile, RESTRICTED_SCOPE, ReusePolicy},
    token::{Token, TokenKind, provider_of},
    world::World,
};

/// How long after the first use a provider accepts a retry.
const RETRY_WINDOW_MS: u64 = 60_000;

/// Why a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrantEnd {
    /// The user revoked it at the provider.
    User,
    /// The client revoked its tokens.
    Client,
    /// A refresh token was used twice.
    Reuse,
    /// A refresh token was used twice, and the sender of the second use no longer waited for the answer. A retry in
    /// between may have succeeded.
    LateReuse,
}

/// What a user granted to the client in one authorization.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) profile: &'static ProviderProfile,
    user: u64,
    /// When the user signed in.
    pub(crate) created_at_ms: u64,
    pub(crate) end: Option<GrantEnd>,
    /// For each refresh token, when it was used and the index of its successor.
    refresh_tokens: Vec<Option<(u64, usize)>>,
    /// When each access token expires.
    access_tokens_end_ms: Vec<u64>,
    /// The client revoked it, or tried to, with a token that was still valid.
    pub(crate) is_revocation_requested: bool,
}

impl Grant {
    /// Whether revoking this token ends the grant. GitHub does not know an expired access token, and a rotating
    /// provider does not know a used refresh token.
    fn ends_with(&self, token: &Token<'_>, now_ms: u64) -> bool {
        match token.kind {
            TokenKind::Access => self.access_tokens_end_ms.get(token.index).is_some_and(|end_ms| now_ms < *end_ms),
            TokenKind::Refresh => self.refresh_tokens.get(token.index).is_some_and(Option::is_none),
        }
    }
}

#[derive(Default)]
pub(crate) struct AuthorizationServers {
    /// The grants of all providers, by number (see [`crate::token`]).
    pub(crate) grants: RefCell<BTreeMap<u64, Grant>>,
    pub(crate) access_token_lifetime_ms: Cell<u64>,
}

fn json_answer(status: u16, body: &Value) -> Answer {
    (status, vec![("content-type", "application/json".to_owned())], body.to_string())
}

impl World {
    /// Creates a grant and returns its token response.
    pub(crate) fn create_grant(&self, profile: &'static ProviderProfile, user: u64, number: u64) -> Value {
        self.authorization_servers.grants.borrow_mut().insert(
            number,
            Grant {
                profile,
                user,
                created_at_ms: self.now_ms(),
                end: None,
                refresh_tokens: Vec::new(),
                access_tokens_end_ms: Vec::new(),
                is_revocation_requested: false,
            },
        );
        self.issue_tokens(number, true, false)
    }

    /// The refresh token that was issued with a grant.
    pub(crate) fn first_refresh_token(&self, number: u64) -> String {
        let grants = self.authorization_servers.grants.borrow();
        let Grant { profile, user, .. } = &grants[&number];
        format!("rt.{}.u{user}.f{number}.0", profile.provider)
    }

    /// Why a grant ended; `None` while it is active.
    pub(crate) fn grant_end(&self, number: u64) -> Option<GrantEnd> {
        self.authorization_servers.grants.borrow().get(&number).and_then(|grant| grant.end)
    }

    pub(crate) fn is_grant_active(&self, number: u64) -> bool {
        self.authorization_servers.grants.borrow().get(&number).is_some_and(|grant| grant.end.is_none())
    }

    fn issue_tokens(&self, number: u64, with_refresh_token: bool, is_restricted: bool) -> Value {
        let now_ms = self.now_ms();
        let mut grants = self.authorization_servers.grants.borrow_mut();
        let grant = grants.get_mut(&number).unwrap();
        if grant.profile.invalidates_old_access_tokens {
            grant.access_tokens_end_ms.iter_mut().for_each(|end_ms| *end_ms = 0);
        }
        let lifetime_ms = self.authorization_servers.access_token_lifetime_ms.get();
        grant.access_tokens_end_ms.push(now_ms + lifetime_ms);
        let text =
            |kind: &str, index: usize| format!("{kind}.{}.u{}.f{number}.{index}", grant.profile.provider, grant.user);
        let suffix = if is_restricted { format!(".{RESTRICTED_SCOPE}") } else { String::new() };
        let mut body = json!({
            "access_token": text("at", grant.access_tokens_end_ms.len() - 1) + &suffix, "token_type": "bearer",
            "expires_in": lifetime_ms / 1000,
        });
        if with_refresh_token {
            body["refresh_token"] = text("rt", grant.refresh_tokens.len()).into();
            grant.refresh_tokens.push(None);
        }
        body
    }

    /// The user revokes a grant at the provider.
    pub(crate) fn revoke_by_user(&self, number: u64) {
        self.count("grants revoked by the user");
        if let Some(grant) = self.authorization_servers.grants.borrow_mut().get_mut(&number) {
            grant.end.get_or_insert(GrantEnd::User);
        }
    }

    /// Notes that the client revokes tokens, whether or not its request reaches the provider.
    pub(crate) fn note_revocation_request(&self, sent: &Sent) {
        let token = if sent.url.contains("/applications/") {
            serde_json::from_str::<Value>(&sent.body).unwrap()["access_token"].as_str().map(str::to_owned)
        } else {
            let mut form = url::form_urlencoded::parse(sent.body.as_bytes()).into_owned();
            form.find(|(name, _)| name == "token").map(|(_, token)| token)
        };
        if let Some(token) = token.as_deref().and_then(Token::parse) {
            self.count("revocation requests sent");
            self.checker.on_revocation_request(self, token.grant);
            let mut grants = self.authorization_servers.grants.borrow_mut();
            let grant = grants.get_mut(&token.grant).unwrap();
            grant.is_revocation_requested |= grant.ends_with(&token, self.now_ms());
        }
    }

    /// The user and the grant of an access token, if it is valid at a provider's API.
    pub(crate) fn introspect(&self, profile: &ProviderProfile, text: &str) -> Option<(u64, u64)> {
        let token =
            Token::parse(text).filter(|token| token.kind == TokenKind::Access && token.provider == profile.provider)?;
        let grants = self.authorization_servers.grants.borrow();
        let grant = grants.get(&token.grant)?;
        let is_valid =
            grant.end.is_none() && grant.user == token.user && self.now_ms() < grant.access_tokens_end_ms[token.index];
        is_valid.then_some((token.user, token.grant))
    }

    /// A provider's answer; `None` if the request does not go to a provider.
    pub(crate) fn answer_of_provider(&self, sent: &Sent, is_late: bool) -> Option<Answer> {
        if let Some(profile) = ProviderProfile::of_token_endpoint(&sent.url) {
            return Some(self.answer_of_token_endpoint(profile, &sent.body, is_late));
        }
        if sent.url.contains("/applications/") {
            let body: Value = serde_json::from_str(&sent.body).unwrap();
            let is_known = self.revoke(&PROVIDER_PROFILES[0], body["access_token"].as_str().unwrap());
            return Some((if is_known { 204 } else { 404 }, Vec::new(), String::new()));
        }
        if let Some(profile) = PROVIDER_PROFILES.iter().find(|profile| sent.url == format!("{}/revoke", profile.issuer))
        {
            let form: BTreeMap<_, _> = url::form_urlencoded::parse(sent.body.as_bytes()).collect();
            self.revoke(profile, &form["token"]);
            return Some((200, Vec::new(), String::new()));
        }
        let base = sent.url.strip_suffix("/.well-known/openid-configuration")?;
        let profile = PROVIDER_PROFILES.iter().find(|profile| profile.issuer == base).unwrap();
        // Entra's metadata is below its issuer's URL, but its endpoints are not.
        let base = if profile.has_revocation_endpoint {
            base.to_owned()
        } else {
            format!("https://login.microsoftonline.com/{TENANT}")
        };
        let mut metadata = json!({
            "issuer": profile.issuer, "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": profile.token_url, "jwks_uri": format!("{base}/keys"),
            "code_challenge_methods_supported": ["S256"],
        });
        if profile.has_revocation_endpoint {
            metadata["revocation_endpoint"] = format!("{base}/revoke").into();
        }
        Some(json_answer(200, &metadata))
    }

    /// Ends the grant of a token. Returns whether the provider knew the token.
    fn revoke(&self, profile: &'static ProviderProfile, text: &str) -> bool {
        self.count("revocation requests received by a provider");
        let token = Token::parse(text).unwrap();
        let mut grants = self.authorization_servers.grants.borrow_mut();
        let grant = grants.get_mut(&token.grant).unwrap();
        assert_eq!(grant.profile, profile, "a token was sent to another provider");
        let is_known = grant.end.is_none() && grant.ends_with(&token, self.now_ms());
        if is_known {
            grant.end = Some(GrantEnd::Client);
        }
        is_known
    }

    fn answer_of_token_endpoint(&self, profile: &'static ProviderProfile, form: &str, is_late: bool) -> Answer {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        match form.get("code") {
            Some(code) => self.exchange_code(profile, code),
            None => self.refresh(profile, &form, is_late),
        }
    }

    fn exchange_code(&self, profile: &'static ProviderProfile, code: &str) -> Answer {
        let mut numbers = code.split('-').skip(1).map(|number| number.parse().unwrap());
        let (user, number) = (numbers.next().unwrap(), numbers.next().unwrap());
        // An authorization code works once, too.
        if self.authorization_servers.grants.borrow().contains_key(&number) {
            return json_answer(200, &json!({"error": "bad_verification_code"}));
        }
        json_answer(200, &self.create_grant(profile, user, number))
    }

    fn refresh(&self, profile: &'static ProviderProfile, form: &BTreeMap<String, String>, is_late: bool) -> Answer {
        let text = &form["refresh_token"];
        self.count("refreshes at a provider");
        if provider_of(text) != Some(profile.provider) {
            self.checker.report_violation(self, || {
                format!("{text}, another provider's refresh token, is sent to {}", profile.provider)
            });
        }
        let invalid_grant = || {
            let (status, error) =
                if profile.provider == "github" { (200, "bad_refresh_token") } else { (400, "invalid_grant") };
            json_answer(status, &json!({"error": error}))
        };
        let Some(token) = Token::parse(text).filter(|token| token.kind == TokenKind::Refresh) else {
            return invalid_grant();
        };
        let now_ms = self.now_ms();
        let mut grants = self.authorization_servers.grants.borrow_mut();
        let grant = grants.get_mut(&token.grant).unwrap();
        if grant.end.is_some() {
            return invalid_grant();
        }
        let is_restricted = form.get("scope").is_some_and(|scope| scope == RESTRICTED_SCOPE);
        let is_denied = is_restricted && self.scheduler.chance(self.faults.get().restriction_denied);
        // Some providers check the scope before they consume the refresh token (0, 1), some afterwards (2).
        let denial = is_denied.then(|| self.scheduler.draw(0..3));
        match denial {
            Some(0) => return json_answer(400, &json!({"error": "invalid_scope"})),
            Some(1) => return json_answer(400, &json!({"error": "interaction_required"})),
            _ => {}
        }
        if !profile.rotates {
            if denial.is_some() {
                return json_answer(400, &json!({"error": "invalid_scope"}));
            }
            drop(grants);
            let with_refresh_token = self.scheduler.chance(500);
            return json_answer(200, &self.issue_tokens(token.grant, with_refresh_token, is_restricted));
        }
        if let Some((used_at_ms, next)) = grant.refresh_tokens[token.index] {
            self.count("refresh token reuses detected by a provider");
            self.checker.on_reuse(self, text);
            match profile.reuse_policy {
                ReusePolicy::AcceptsRetry
                    if now_ms - used_at_ms < RETRY_WINDOW_MS && grant.refresh_tokens[next].is_none() => {}
                ReusePolicy::EndsGrant => {
                    self.count("grants ended by a reuse");
                    grant.end = Some(if is_late { GrantEnd::LateReuse } else { GrantEnd::Reuse });
                    return invalid_grant();
                }
                ReusePolicy::Rejects | ReusePolicy::AcceptsRetry => return invalid_grant(),
            }
        }
        grant.refresh_tokens[token.index] = Some((now_ms, grant.refresh_tokens.len()));
        drop(grants);
        let issued = self.issue_tokens(token.grant, true, is_restricted);
        match denial {
            Some(_) => json_answer(400, &json!({"error": "invalid_scope"})),
            None => json_answer(200, &issued),
        }
    }
}
