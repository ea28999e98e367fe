//! Ending the provider's own session, too (OpenID Connect RP-Initiated Logout 1.0). It takes two navigations, and a sealed
//! cookie has what each needs: the redirect to the provider the ID token or a logout hint, the return from it the state
//! and the return address. Neither is stored anywhere else.

use causeway_protocol::signature::KeyRing;
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    http::{
        cookie::{self, Found, SameSite},
        origin::ReturnTo,
    },
    oauth::provider::{Kind, Provider},
    runtime::{dependency::Dependency, platform::Platform, random::random_text, unavailable::Unavailable},
    seal::{Contents, Purpose, Sealed, decode_json, encode_json},
    session::record::{LinkedAccount, SessionRecord},
};

/// Name of the cookie for the redirect to the provider.
pub const LOGOUT_REDIRECT_COOKIE: &str = "__Host-Http-logout";
/// Name of the cookie for the return from the provider.
pub const RETURN_COOKIE: &str = "__Host-Http-logged-out";
/// How long the browser may take to follow the redirect: a script does so at once.
const LOGOUT_REDIRECT_SECONDS: u64 = 60;
/// How long the user may take at the provider.
const RETURN_SECONDS: u64 = 600;
/// Largest sum of a cookie's name and value that every browser stores, in bytes (RFC 6265bis §5.6).
const MAX_COOKIE_BYTES: usize = 4096;

/// What the provider needs to end its session, in the cookie for the redirect to it.
#[derive(Serialize, Deserialize)]
pub struct LogoutRedirect {
    provider: String,
    /// The ID token; `None` if it does not fit into a cookie.
    id_token: Option<String>,
    /// Sent if there is no ID token.
    logout_hint: Option<String>,
    created_at_ms: u64,
}

impl Drop for LogoutRedirect {
    fn drop(&mut self) {
        if let Some(token) = &mut self.id_token {
            token.zeroize();
        }
    }
}

impl LogoutRedirect {
    /// The `Set-Cookie` value for a session that has ended. `None` if it had no account of this provider.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn cookie(
        platform: &impl Platform,
        keys: &KeyRing,
        provider: &Provider,
        record: &SessionRecord,
    ) -> Result<Option<String>, Unavailable> {
        let account = record.accounts.get(&provider.id).filter(|it| provider.is_issuer(&it.issuer));
        let Some(account) = account else { return Ok(None) };
        let mut logout_redirect = Self {
            provider: provider.id.clone(),
            id_token: account.tokens.id_token.as_ref().map(|token| token.expose_secret().to_owned()),
            logout_hint: None,
            created_at_ms: platform.now_ms(),
        };
        let mut value = seal(platform, keys, LOGOUT_REDIRECT_COOKIE, provider, &logout_redirect)?;
        let is_too_long = LOGOUT_REDIRECT_COOKIE.len() + value.len() > MAX_COOKIE_BYTES;
        if is_too_long || logout_redirect.id_token.is_none() {
            logout_redirect.id_token.zeroize();
            logout_redirect.logout_hint = logout_hint(provider, account);
            value = seal(platform, keys, LOGOUT_REDIRECT_COOKIE, provider, &logout_redirect)?;
        }
        Ok(Some(cookie::set(LOGOUT_REDIRECT_COOKIE, &value, SameSite::Strict, LOGOUT_REDIRECT_SECONDS)))
    }

    /// Finds it in a request's cookie, if it is for this provider and has not expired.
    #[must_use]
    pub fn find(platform: &impl Platform, keys: &KeyRing, provider: &Provider, headers: &HeaderMap) -> Option<Self> {
        let logout_redirect: Self = open(keys, LOGOUT_REDIRECT_COOKIE, provider, headers)?;
        let age_ms = platform.now_ms().saturating_sub(logout_redirect.created_at_ms);
        (logout_redirect.provider == provider.id && age_ms < LOGOUT_REDIRECT_SECONDS * 1000).then_some(logout_redirect)
    }

    /// Where the browser goes to end the provider's session (§2).
    #[must_use]
    pub fn url(
        &self,
        provider: &Provider,
        endpoint: &Url,
        post_logout_redirect_uri: &str,
        state: &str,
    ) -> SecretString {
        let mut url = endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(token) = &self.id_token {
                query.append_pair("id_token_hint", token);
            }
            if let Some(hint) = &self.logout_hint {
                query.append_pair("logout_hint", hint);
            }
            query.append_pair("client_id", &provider.client_id);
            query.append_pair("post_logout_redirect_uri", post_logout_redirect_uri).append_pair("state", state);
        }
        String::from(url).into()
    }
}

/// Entra accepts only a claim of its own as the hint, which the edge does not have. Without it Entra asks for the account.
fn logout_hint(provider: &Provider, account: &LinkedAccount) -> Option<String> {
    match provider.kind {
        Kind::OpenId { .. } => account.user.email.clone(),
        Kind::Entra { .. } | Kind::GitHub { .. } => None,
    }
}

/// What the edge needs when the provider sends the user back, in the cookie for the return.
#[derive(Serialize, Deserialize)]
pub struct LogoutReturn {
    /// Sent to the provider, and compared on the return (M50).
    pub state: String,
    #[serde(deserialize_with = "ReturnTo::deserialize_sealed")]
    return_to: ReturnTo,
    created_at_ms: u64,
}

impl LogoutReturn {
    /// Generates the state.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn begin(platform: &impl Platform, return_to: ReturnTo) -> Result<Self, Unavailable> {
        Ok(Self { state: random_text(platform)?, return_to, created_at_ms: platform.now_ms() })
    }

    /// Its `Set-Cookie` value.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn cookie(&self, platform: &impl Platform, keys: &KeyRing, provider: &Provider) -> Result<String, Unavailable> {
        let value = seal(platform, keys, RETURN_COOKIE, provider, self)?;
        Ok(cookie::set(RETURN_COOKIE, &value, SameSite::Lax, RETURN_SECONDS))
    }

    /// Where a user goes who returns with this state. `None` if this browser was not sent to the provider with it (S127).
    #[must_use]
    pub fn return_to(
        platform: &impl Platform,
        keys: &KeyRing,
        provider: &Provider,
        headers: &HeaderMap,
        state: &str,
    ) -> Option<ReturnTo> {
        let logout_return: Self = open(keys, RETURN_COOKIE, provider, headers)?;
        let is_expired = platform.now_ms().saturating_sub(logout_return.created_at_ms) >= RETURN_SECONDS * 1000;
        let matches = bool::from(logout_return.state.as_bytes().ct_eq(state.as_bytes()));
        (matches && !is_expired).then_some(logout_return.return_to)
    }
}

impl Contents for LogoutRedirect {
    const PURPOSE: Purpose = Purpose::LogoutCookie;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        encode_json(Dependency::Logout, self)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        decode_json(plaintext)
    }
}

impl Contents for LogoutReturn {
    const PURPOSE: Purpose = Purpose::LogoutCookie;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        encode_json(Dependency::Logout, self)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        decode_json(plaintext)
    }
}

fn seal(
    platform: &impl Platform,
    keys: &KeyRing,
    name: &str,
    provider: &Provider,
    contents: &impl Contents,
) -> Result<String, Unavailable> {
    let issuer = provider.issuer();
    Ok(Sealed::seal(contents, keys, platform, &context(name, provider, &issuer))?.to_text())
}

fn open<T: Contents>(keys: &KeyRing, name: &str, provider: &Provider, headers: &HeaderMap) -> Option<T> {
    let Found::One(value) = cookie::find(headers, name) else { return None };
    let issuer = provider.issuer();
    Sealed::from_text(value)?.open(keys, &context(name, provider, &issuer)).ok()
}

/// Binds a cookie to its name, provider and issuer.
fn context<'a>(name: &'a str, provider: &'a Provider, issuer: &'a str) -> [&'a [u8]; 3] {
    [name.as_bytes(), provider.id.as_bytes(), issuer.as_bytes()]
}
