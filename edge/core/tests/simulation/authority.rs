//! Authorization servers. A token says whose it is (`rt.github.u3.f12.4`: user 3, grant 12, the fourth), so that one that
//! turns up with anybody else is seen at once.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use causeway_core::testing::{
    entra::TENANT,
    platform::{Answer, Sent},
};
use serde_json::{Value, json};

use super::{World, invariant::SCOPE};

/// A kind of provider, and how it treats refresh tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProviderProfile {
    /// As configured.
    pub(crate) provider: &'static str,
    /// A path of an API that takes its tokens.
    pub(crate) call: &'static str,
    /// Where that leads.
    pub(crate) api: &'static str,
    pub(crate) issuer: &'static str,
    token_url: &'static str,
    /// A refresh token works once.
    pub(crate) rotates: bool,
    /// What happens at its second use.
    reuse: Reuse,
    /// Access tokens die at the next refresh.
    pub(crate) old_token_dies: bool,
    /// It says by its own clock when a user signed in.
    pub(crate) says_when: bool,
    /// Its tokens can be revoked.
    pub(crate) revokes: bool,
    /// How often a refresh token may be sent whose fate nobody knows.
    pub(crate) sends: usize,
    /// A service that wants tokens which are good for nothing else.
    pub(crate) mail: Option<Mail>,
}

/// A service that wants restricted tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// A path of its API.
    pub(crate) call: &'static str,
    /// Where that leads.
    pub(crate) api: &'static str,
}

/// Why a grant is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The user took it back.
    User,
    /// Somebody revoked its tokens.
    GivenUp,
    /// A refresh token came twice.
    Reuse,
    /// It came once more from who had long given up on it, and perhaps after a repetition that did well.
    LateReuse,
}

impl ProviderProfile {
    /// Whose token endpoint this is.
    pub(crate) fn of_token_endpoint(url: &str) -> Option<&'static Self> {
        PROVIDER_PROFILES.iter().find(|profile| profile.token_url == url)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reuse {
    /// The whole grant dies with all its tokens (RFC 9700 §4.14).
    Kills,
    /// It is refused.
    Refused,
    /// Within a minute it is taken for a retry.
    Forgiven,
}

pub(crate) static PROVIDER_PROFILES: &[ProviderProfile] = &[
    ProviderProfile {
        provider: "github",
        call: "/bff/github/user",
        api: "https://api.github.com/user?",
        issuer: "https://github.com/login/oauth",
        token_url: "https://github.com/login/oauth/access_token",
        rotates: true,
        reuse: Reuse::Refused,
        old_token_dies: true,
        says_when: false,
        revokes: true,
        sends: 2,
        mail: None,
    },
    ProviderProfile {
        provider: "entra",
        call: "/bff/graph/v1.0/me",
        api: "https://graph.microsoft.com/v1.0/me?",
        issuer: "https://login.microsoftonline.com/5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90/v2.0",
        token_url: "https://login.microsoftonline.com/5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90/oauth2/v2.0/token",
        rotates: false,
        reuse: Reuse::Forgiven,
        old_token_dies: false,
        says_when: true,
        revokes: false,
        sends: usize::MAX, // nothing uses it up
        mail: Some(Mail { call: "/bff/entra-mail/me", api: "https://mail.entra.example/me?" }),
    },
    // Strict (RFC 9700 §4.14): the grant dies when a refresh token comes twice, and so none is ever sent twice.
    ProviderProfile {
        provider: "strict",
        call: "/bff/strict/me",
        api: "https://api.strict.example/me?",
        issuer: "https://strict.example",
        token_url: "https://strict.example/token",
        rotates: true,
        reuse: Reuse::Kills,
        old_token_dies: false,
        says_when: true,
        revokes: true,
        sends: 1,
        mail: Some(Mail { call: "/bff/strict-mail/me", api: "https://mail.strict.example/me?" }),
    },
    // As strict, though its operator was told that it takes a retry.
    ProviderProfile {
        provider: "hasty",
        call: "/bff/hasty/me",
        api: "https://api.hasty.example/me?",
        issuer: "https://hasty.example",
        token_url: "https://hasty.example/token",
        rotates: true,
        reuse: Reuse::Kills,
        old_token_dies: false,
        says_when: true,
        revokes: true,
        sends: 2,
        mail: Some(Mail { call: "/bff/hasty-mail/me", api: "https://mail.hasty.example/me?" }),
    },
    // As strict, but with a minute's grace for whoever never had the answer.
    ProviderProfile {
        provider: "patient",
        call: "/bff/patient/me",
        api: "https://api.patient.example/me?",
        issuer: "https://patient.example",
        token_url: "https://patient.example/token",
        rotates: true,
        reuse: Reuse::Forgiven,
        old_token_dies: false,
        says_when: true,
        revokes: true,
        sends: 2,
        mail: Some(Mail { call: "/bff/patient-mail/me", api: "https://mail.patient.example/me?" }),
    },
];

/// The kind of a provider.
pub(crate) fn profile(provider: &str) -> &'static ProviderProfile {
    PROVIDER_PROFILES.iter().find(|profile| profile.provider == provider).unwrap()
}

const FORGIVEN_MS: u64 = 60_000;

#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) profile: &'static ProviderProfile,
    user: u64,
    pub(crate) ending: Option<Ending>,
    /// When each refresh token was used, and which one came of it.
    refresh_tokens: Vec<Option<(u64, usize)>>,
    /// When each access token ends.
    access_tokens: Vec<u64>,
    /// The client said, or tried to say, that it no longer needs it; with a token that it still takes.
    pub(crate) given_up: bool,
}

impl Grant {
    /// Whether giving this token up ends the grant. GitHub knows no access token that is over, and who rotates no refresh
    /// token that was used.
    fn ends_with(&self, token: &Token, now_ms: u64) -> bool {
        match token.kind {
            Kind::Access => self.access_tokens.get(token.index).is_some_and(|ends_at_ms| now_ms < *ends_at_ms),
            Kind::Refresh => self.refresh_tokens.get(token.index).is_some_and(Option::is_none),
        }
    }
}

/// What it has granted. Grants are numbered by the sign-in they came of.
#[derive(Default)]
pub(crate) struct Authority {
    pub(crate) grants: RefCell<BTreeMap<u64, Grant>>,
    /// How long an access token lives, in milliseconds.
    pub(crate) token_life_ms: Cell<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Access,
    Refresh,
}

struct Token<'a> {
    kind: Kind,
    provider: &'a str,
    user: u64,
    grant: u64,
    index: usize,
    /// What it is restricted to.
    scope: Option<&'a str>,
}

impl<'a> Token<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let kind = match parts.next()? {
            "at" => Kind::Access,
            "rt" => Kind::Refresh,
            _ => return None,
        };
        let provider = parts.next()?;
        let user = parts.next()?.strip_prefix('u')?.parse().ok()?;
        let grant = parts.next()?.strip_prefix('f')?.parse().ok()?;
        Some(Self { kind, provider, user, grant, index: parts.next()?.parse().ok()?, scope: parts.next() })
    }
}

/// The number of the grant that an access token or a refresh token is of.
pub(crate) fn grant_of(text: &str) -> Option<u64> {
    Token::parse(text).map(|token| token.grant)
}

/// The provider that issued it.
pub(crate) fn issuer_of(text: &str) -> Option<&str> {
    Token::parse(text).map(|token| token.provider)
}

/// What it is restricted to, if it is.
pub(crate) fn scope_of(text: &str) -> Option<&str> {
    Token::parse(text).and_then(|token| token.scope)
}

fn answer(status: u16, body: &Value) -> Answer {
    (status, vec![("content-type", "application/json".to_owned())], body.to_string())
}

impl World {
    /// The token response of a new grant.
    pub(crate) fn grant(&self, profile: &'static ProviderProfile, user: u64, number: u64) -> Value {
        self.authority.grants.borrow_mut().insert(
            number,
            Grant {
                profile,
                user,
                ending: None,
                refresh_tokens: Vec::new(),
                access_tokens: Vec::new(),
                given_up: false,
            },
        );
        self.issue(number, true, false)
    }

    /// The refresh token that a grant begins with.
    pub(crate) fn first_refresh_token(&self, number: u64) -> String {
        let grants = self.authority.grants.borrow();
        let Grant { profile, user, .. } = &grants[&number];
        format!("rt.{}.u{user}.f{number}.0", profile.provider)
    }

    /// Why a grant is over, if it is.
    pub(crate) fn ending(&self, number: u64) -> Option<Ending> {
        self.authority.grants.borrow().get(&number).and_then(|grant| grant.ending)
    }

    /// Whether its provider still honours a grant.
    pub(crate) fn honours(&self, number: u64) -> bool {
        self.authority.grants.borrow().get(&number).is_some_and(|grant| grant.ending.is_none())
    }

    fn issue(&self, number: u64, with_refresh_token: bool, is_restricted: bool) -> Value {
        let now_ms = self.now_ms();
        let mut grants = self.authority.grants.borrow_mut();
        let grant = grants.get_mut(&number).unwrap();
        if grant.profile.old_token_dies {
            grant.access_tokens.iter_mut().for_each(|ends_at_ms| *ends_at_ms = 0);
        }
        let life_ms = self.authority.token_life_ms.get();
        grant.access_tokens.push(now_ms + life_ms);
        let text =
            |kind: &str, index: usize| format!("{kind}.{}.u{}.f{number}.{index}", grant.profile.provider, grant.user);
        let suffix = if is_restricted { format!(".{SCOPE}") } else { String::new() };
        let mut body = json!({
            "access_token": text("at", grant.access_tokens.len() - 1) + &suffix, "token_type": "bearer",
            "expires_in": life_ms / 1000,
        });
        if with_refresh_token {
            body["refresh_token"] = text("rt", grant.refresh_tokens.len()).into();
            grant.refresh_tokens.push(None);
        }
        body
    }

    /// The user takes back what was granted, at the provider.
    pub(crate) fn take_back(&self, number: u64) {
        self.count("grants taken back by the user");
        if let Some(grant) = self.authority.grants.borrow_mut().get_mut(&number) {
            grant.ending.get_or_insert(Ending::User);
        }
    }

    /// Notes that the client wants tokens revoked, whether or not the provider hears of it.
    pub(super) fn saw_revocation(&self, sent: &Sent) {
        let token = if sent.url.contains("/applications/") {
            serde_json::from_str::<Value>(&sent.body).unwrap()["access_token"].as_str().map(str::to_owned)
        } else {
            let mut form = url::form_urlencoded::parse(sent.body.as_bytes()).into_owned();
            form.find(|(name, _)| name == "token").map(|(_, token)| token)
        };
        if let Some(token) = token.as_deref().and_then(Token::parse) {
            self.count("revocations asked of a provider");
            self.checker.saw_revocation(self, token.grant);
            let mut grants = self.authority.grants.borrow_mut();
            let grant = grants.get_mut(&token.grant).unwrap();
            grant.given_up |= grant.ends_with(&token, self.now_ms());
        }
    }

    /// Whose API call an access token allows at a provider's API, if it is good: the user and the grant.
    pub(crate) fn introspect(&self, profile: &ProviderProfile, text: &str) -> Option<(u64, u64)> {
        let token =
            Token::parse(text).filter(|token| token.kind == Kind::Access && token.provider == profile.provider)?;
        let grants = self.authority.grants.borrow();
        let grant = grants.get(&token.grant)?;
        let good =
            grant.ending.is_none() && grant.user == token.user && self.now_ms() < grant.access_tokens[token.index];
        good.then_some((token.user, token.grant))
    }

    /// What a provider answers; `None` if the request is not to one.
    pub(super) fn provider_answers(&self, sent: &Sent, is_late: bool) -> Option<Answer> {
        if let Some(profile) = ProviderProfile::of_token_endpoint(&sent.url) {
            return Some(self.token_endpoint(profile, &sent.body, is_late));
        }
        if sent.url.contains("/applications/") {
            let body: Value = serde_json::from_str(&sent.body).unwrap();
            let known = self.revoke(&PROVIDER_PROFILES[0], body["access_token"].as_str().unwrap());
            return Some((if known { 204 } else { 404 }, Vec::new(), String::new()));
        }
        if let Some(profile) = PROVIDER_PROFILES.iter().find(|profile| sent.url == format!("{}/revoke", profile.issuer))
        {
            let form: BTreeMap<_, _> = url::form_urlencoded::parse(sent.body.as_bytes()).collect();
            self.revoke(profile, &form["token"]);
            return Some((200, Vec::new(), String::new()));
        }
        let base = sent.url.strip_suffix("/.well-known/openid-configuration")?;
        let profile = PROVIDER_PROFILES.iter().find(|profile| profile.issuer == base).unwrap();
        // Entra's documents stand under the issuer; its endpoints do not.
        let base =
            if profile.revokes { base.to_owned() } else { format!("https://login.microsoftonline.com/{TENANT}") };
        let mut metadata = json!({
            "issuer": profile.issuer, "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": profile.token_url, "jwks_uri": format!("{base}/keys"),
            "code_challenge_methods_supported": ["S256"],
        });
        if profile.revokes {
            metadata["revocation_endpoint"] = format!("{base}/revoke").into();
        }
        Some(answer(200, &metadata))
    }

    /// Whether it knew the token.
    fn revoke(&self, profile: &'static ProviderProfile, text: &str) -> bool {
        self.count("revocations at a provider");
        let token = Token::parse(text).unwrap();
        let mut grants = self.authority.grants.borrow_mut();
        let grant = grants.get_mut(&token.grant).unwrap();
        assert_eq!(grant.profile, profile, "a token was sent to another's provider");
        let known = grant.ending.is_none() && grant.ends_with(&token, self.now_ms());
        if known {
            grant.ending = Some(Ending::GivenUp);
        }
        known
    }

    fn token_endpoint(&self, profile: &'static ProviderProfile, form: &str, is_late: bool) -> Answer {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        if let Some(code) = form.get("code") {
            let mut numbers = code.split('-').skip(1).map(|number| number.parse().unwrap());
            let (user, number) = (numbers.next().unwrap(), numbers.next().unwrap());
            // A code works once, too.
            if self.authority.grants.borrow().contains_key(&number) {
                return answer(200, &json!({"error": "bad_verification_code"}));
            }
            return answer(200, &self.grant(profile, user, number));
        }
        let text = &form["refresh_token"];
        self.count("refreshes at a provider");
        if issuer_of(text) != Some(profile.provider) {
            self.checker.report_violation(self, || format!("{text} is sent to {}", profile.provider));
        }
        let dead = || {
            let (status, error) =
                if profile.provider == "github" { (200, "bad_refresh_token") } else { (400, "invalid_grant") };
            answer(status, &json!({"error": error}))
        };
        let Some(token) = Token::parse(text).filter(|token| token.kind == Kind::Refresh) else { return dead() };
        let now_ms = self.now_ms();
        let mut grants = self.authority.grants.borrow_mut();
        let grant = grants.get_mut(&token.grant).unwrap();
        if grant.ending.is_some() {
            return dead();
        }
        let is_restricted = form.get("scope").is_some_and(|scope| scope == SCOPE);
        let denies = is_restricted && self.scheduler.chance(self.faults.get().restriction_denied);
        // Some look at what is asked for before they look at the refresh token, some after.
        let denial = denies.then(|| self.scheduler.draw(0..3));
        match denial {
            Some(0) => return answer(400, &json!({"error": "invalid_scope"})),
            Some(1) => return answer(400, &json!({"error": "interaction_required"})),
            _ => {}
        }
        if !profile.rotates {
            if denial.is_some() {
                return answer(400, &json!({"error": "invalid_scope"}));
            }
            drop(grants);
            let with_refresh_token = self.scheduler.chance(500);
            return answer(200, &self.issue(token.grant, with_refresh_token, is_restricted));
        }
        if let Some((used_at_ms, next)) = grant.refresh_tokens[token.index] {
            self.count("reuses of a refresh token seen by a provider");
            self.checker.saw_reuse(self, text);
            match profile.reuse {
                Reuse::Forgiven if now_ms - used_at_ms < FORGIVEN_MS && grant.refresh_tokens[next].is_none() => {}
                Reuse::Kills => {
                    self.count("grants that a reuse ended");
                    grant.ending = Some(if is_late { Ending::LateReuse } else { Ending::Reuse });
                    return dead();
                }
                Reuse::Refused | Reuse::Forgiven => return dead(),
            }
        }
        grant.refresh_tokens[token.index] = Some((now_ms, grant.refresh_tokens.len()));
        drop(grants);
        let issued = self.issue(token.grant, true, is_restricted);
        match denial {
            Some(_) => answer(400, &json!({"error": "invalid_scope"})),
            None => answer(200, &issued),
        }
    }
}
