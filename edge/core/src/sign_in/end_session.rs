//! Ending the provider's own session, too (OpenID Connect RP-Initiated Logout 1.0): what waits in sealed cookies for the
//! two navigations it takes. The way there needs the ID token or what else names the user; the way back needs the state
//! and where the user goes then. Nothing of it is anywhere else.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::signature::KeyRing;
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use subtle::ConstantTimeEq as _;
use url::Url;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    http::cookie::{self, Found, SameSite},
    oauth::provider::{Kind, Provider},
    runtime::{platform::Platform, random::random_text, unavailable::Unavailable},
    seal::{self, Binding, Purpose},
    session::record::{LinkedAccount, SessionRecord},
};

/// Waits for the way to the provider.
pub const LOGOUT_REDIRECT_COOKIE: &str = "__Host-Http-logout";
/// Waits for the way back.
pub const RETURN_COOKIE: &str = "__Host-Http-logged-out";
/// How long the browser may take to set out: a script does it at once.
const LOGOUT_REDIRECT_SECONDS: u64 = 60;
/// How long the user may take at the provider.
const RETURN_SECONDS: u64 = 600;
/// Largest name and value of a cookie that every browser keeps together, in bytes (RFC 6265bis §5.6).
const MAX_COOKIE_BYTES: usize = 4096;

/// What the provider is told of who wants out.
#[derive(Serialize, Deserialize)]
pub struct LogoutRedirect {
    provider: String,
    /// The ID token; `None` if it does not fit into a cookie.
    id_token: Option<String>,
    /// Instead of it.
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
    /// The `Set-Cookie` value for a session that has ended. `None` if it had no sign-in with this provider.
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
        let sealed = seal_cookie(platform, keys, LOGOUT_REDIRECT_COOKIE, provider, &logout_redirect)?;
        let value =
            if LOGOUT_REDIRECT_COOKIE.len() + sealed.len() <= MAX_COOKIE_BYTES && logout_redirect.id_token.is_some() {
                sealed
            } else {
                logout_redirect.id_token.zeroize();
                logout_redirect.logout_hint = logout_hint(provider, account);
                seal_cookie(platform, keys, LOGOUT_REDIRECT_COOKIE, provider, &logout_redirect)?
            };
        Ok(Some(cookie::set(LOGOUT_REDIRECT_COOKIE, &value, SameSite::Strict, LOGOUT_REDIRECT_SECONDS)))
    }

    /// The one that a request carries, if it is of this provider and not over.
    #[must_use]
    pub fn find(platform: &impl Platform, keys: &KeyRing, provider: &Provider, headers: &HeaderMap) -> Option<Self> {
        let logout_redirect: Self = open_cookie(keys, LOGOUT_REDIRECT_COOKIE, provider, headers)?;
        let age_ms = platform.now_ms().saturating_sub(logout_redirect.created_at_ms);
        (logout_redirect.provider == provider.id && age_ms < LOGOUT_REDIRECT_SECONDS * 1000).then_some(logout_redirect)
    }

    /// Where the browser goes to end the provider's session (§2).
    #[must_use]
    pub fn url(&self, provider: &Provider, endpoint: &Url, back_to: &str, state: &str) -> SecretString {
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
            query.append_pair("post_logout_redirect_uri", back_to).append_pair("state", state);
        }
        String::from(url).into()
    }
}

/// Entra takes a claim of its own here and none of what we know; it then asks which account is meant.
fn logout_hint(provider: &Provider, account: &LinkedAccount) -> Option<String> {
    match provider.kind {
        Kind::OpenId { .. } => account.user.email.clone(),
        Kind::Entra { .. } | Kind::GitHub { .. } => None,
    }
}

/// What brings the user back.
#[derive(Serialize, Deserialize)]
pub struct Return {
    /// Sent along, and compared when it comes back (M50).
    pub state: String,
    return_to: String,
    created_at_ms: u64,
}

impl Return {
    /// Begins the way back to an address that was checked.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn begin(platform: &impl Platform, return_to: &str) -> Result<Self, Unavailable> {
        Ok(Self { state: random_text(platform)?, return_to: return_to.to_owned(), created_at_ms: platform.now_ms() })
    }

    /// Its `Set-Cookie` value.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn cookie(&self, platform: &impl Platform, keys: &KeyRing, provider: &Provider) -> Result<String, Unavailable> {
        let value = seal_cookie(platform, keys, RETURN_COOKIE, provider, self)?;
        Ok(cookie::set(RETURN_COOKIE, &value, SameSite::Lax, RETURN_SECONDS))
    }

    /// Where the user goes who comes back with a state. `None` if nobody with this state left from here (S127).
    #[must_use]
    pub fn address(
        platform: &impl Platform,
        keys: &KeyRing,
        provider: &Provider,
        headers: &HeaderMap,
        state: &str,
    ) -> Option<String> {
        let back: Self = open_cookie(keys, RETURN_COOKIE, provider, headers)?;
        let is_expired = platform.now_ms().saturating_sub(back.created_at_ms) >= RETURN_SECONDS * 1000;
        let matches = bool::from(back.state.as_bytes().ct_eq(state.as_bytes()));
        (matches && !is_expired).then_some(back.return_to)
    }
}

/// Ties a cookie to its name, provider and issuer.
fn context<'a>(name: &'a str, provider: &'a Provider, issuer: &'a str) -> [&'a [u8]; 3] {
    [name.as_bytes(), provider.id.as_bytes(), issuer.as_bytes()]
}

fn seal_cookie(
    platform: &impl Platform,
    keys: &KeyRing,
    name: &str,
    provider: &Provider,
    value: &impl Serialize,
) -> Result<String, Unavailable> {
    let plain = Zeroizing::new(serde_json::to_vec(value).map_err(|e| Unavailable::new("logout", e))?);
    let issuer = provider.issuer();
    let context = context(name, provider, &issuer);
    let binding = Binding { purpose: Purpose::LogoutCookie, context: &context, secret: b"" };
    Ok(BASE64.encode(seal::seal(keys, platform, binding, &plain)?))
}

fn open_cookie<T: DeserializeOwned>(keys: &KeyRing, name: &str, provider: &Provider, headers: &HeaderMap) -> Option<T> {
    let Found::One(value) = cookie::find(headers, name) else { return None };
    let blob = BASE64.decode(value).ok()?;
    let issuer = provider.issuer();
    let context = context(name, provider, &issuer);
    let binding = Binding { purpose: Purpose::LogoutCookie, context: &context, secret: b"" };
    let plain = seal::open(keys, binding, &blob).ok()?;
    serde_json::from_slice(&plain).ok()
}
