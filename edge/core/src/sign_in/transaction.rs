//! A sign-in under way: everything the callback must compare against, sealed in a cookie of its own, without a store
//! write. One cookie per sign-in, so two tabs can sign in at once; a bounded number of them, so nobody can fill the jar.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::{
    base64url::{CHARS_OF_32_BYTES, is_base64url},
    session::SessionHandle,
    signature::KeyRing,
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    http::cookie::{self, Found, PREFIX, SameSite},
    oauth::{exchange::AuthorizationSecrets, provider::Provider},
    runtime::{clock::MAX_SKEW_MS, platform::Platform, unavailable::Unavailable},
    seal::{self, Binding, Purpose},
    session::{handoff::Recipient, id::SessionId},
};

/// How long a user may take at the provider.
const MAX_AGE_SECONDS: u64 = 600;
/// For how long some isolate's clock may still let a callback finish a sign-in, in milliseconds. It began when another one
/// said so, possibly in the first's future.
pub const FINISHABLE_MS: u64 = MAX_AGE_SECONDS * 1000 + MAX_SKEW_MS;
/// Most sign-ins under way in one browser; the oldest give way.
const MAX_PARALLEL: usize = 4;
/// How much of the state names the cookie.
const NAME_CHARS: usize = 16;

/// What the callback must compare against.
#[derive(Serialize, Deserialize)]
pub struct Transaction {
    /// What binds the provider's answer to this browser and this sign-in.
    #[serde(flatten)]
    pub secrets: AuthorizationSecrets,
    /// Where the user goes deferred_refresh, already checked.
    pub return_to: String,
    /// When it began, in Unix milliseconds.
    pub created_at_ms: u64,
    /// The session the user had when it began; it ends when the new one begins, so none is left behind (S21, S22).
    pub replaces: Option<SessionHandle>,
    /// The session that gets one more account instead. Its own cookie does not come back with the callback, which the
    /// provider's site begins; sealed in here its id is as safe as there.
    pub connects: Option<SessionId>,
    /// The page of another site that the session is handed to, instead of setting its cookie here.
    pub recipient: Option<Recipient>,
}

impl Transaction {
    /// Begins one.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn begin(
        platform: &impl Platform,
        return_to: &str,
        replaces: Option<SessionHandle>,
        connects: Option<SessionId>,
        recipient: Option<Recipient>,
    ) -> Result<Self, Unavailable> {
        Ok(Self {
            secrets: AuthorizationSecrets::draw(platform)?,
            return_to: return_to.to_owned(),
            created_at_ms: platform.now_ms(),
            replaces,
            connects,
            recipient,
        })
    }

    /// The `Set-Cookie` values that keep it in the browser and drop the oldest where there are too many.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn cookies(
        &self,
        platform: &impl Platform,
        keys: &KeyRing,
        provider: &Provider,
        request: &HeaderMap,
    ) -> Result<Vec<String>, Unavailable> {
        let name = cookie_name(&self.secrets.state).unwrap_or_default();
        let plain = Zeroizing::new(serde_json::to_vec(self).map_err(|e| Unavailable::new("sign-in", e))?);
        let issuer = provider.issuer();
        let context = context(&name, provider, &issuer);
        let binding = Binding { purpose: Purpose::LoginCookie, context: &context, secret: b"" };
        let sealed = seal::seal(keys, platform, binding, &plain)?;
        // Browsers send older cookies first (RFC 6265 §5.4), so what comes first is what gives way.
        let mut others: Vec<&str> =
            cookie::all(request).map(|(name, _)| name).filter(|name| is_cookie_name(name)).collect();
        others.dedup();
        let surplus = (others.len() + 1).saturating_sub(MAX_PARALLEL);
        let mut cookies: Vec<String> =
            others.iter().take(surplus).map(|name| cookie::clear(name, SameSite::Lax)).collect();
        cookies.push(cookie::set(&name, &BASE64.encode(sealed), SameSite::Lax, MAX_AGE_SECONDS));
        Ok(cookies)
    }

    /// Finds the transaction that a callback's `state` belongs to.
    ///
    /// # Errors
    /// Why it is not believed, for the log.
    pub fn find(
        platform: &impl Platform,
        keys: &KeyRing,
        provider: &Provider,
        request: &HeaderMap,
        state: &str,
    ) -> Result<Self, &'static str> {
        let name = cookie_name(state).ok_or("state malformed")?;
        let value = match cookie::find(request, &name) {
            Found::One(value) => value,
            Found::None => return Err("no sign-in of this state under way in this browser"),
            Found::Several => return Err("several cookies for one sign-in"),
        };
        let blob = BASE64.decode(value).map_err(|_| "sign-in cookie does not open")?;
        let issuer = provider.issuer();
        let context = context(&name, provider, &issuer);
        let binding = Binding { purpose: Purpose::LoginCookie, context: &context, secret: b"" };
        let plain = seal::open(keys, binding, &blob).map_err(|_| "sign-in cookie does not open")?;
        let transaction: Self = serde_json::from_slice(&plain).map_err(|_| "sign-in cookie does not open")?;
        if !bool::from(transaction.secrets.state.as_bytes().ct_eq(state.as_bytes())) {
            return Err("state does not match");
        }
        if platform.now_ms().saturating_sub(transaction.created_at_ms) > MAX_AGE_SECONDS * 1000 {
            return Err("sign-in took too long");
        }
        Ok(transaction)
    }
}

/// Ties a cookie to its name, provider, issuer and redirect URI: one provider's sign-in cannot finish at another's
/// callback (S4).
fn context<'a>(name: &'a str, provider: &'a Provider, issuer: &'a str) -> [&'a [u8]; 4] {
    [name.as_bytes(), provider.id.as_bytes(), issuer.as_bytes(), provider.redirect_uri.as_bytes()]
}

/// Whether this browser has a sign-in under way that a state could belong to; for a text that is no state of ours, as if
/// it had.
#[must_use]
pub fn is_under_way(request: &HeaderMap, state: &str) -> bool {
    cookie_name(state).is_none_or(|name| cookie::find(request, &name) != Found::None)
}

/// The name of the cookie that a state belongs to; `None` if the text is no state of ours.
#[must_use]
pub fn cookie_name(state: &str) -> Option<String> {
    is_base64url(state, CHARS_OF_32_BYTES).then(|| format!("{PREFIX}login-{}", state.get(..NAME_CHARS).unwrap_or_default()))
}

fn is_cookie_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("login-")).is_some_and(|rest| rest.len() == NAME_CHARS)
}
