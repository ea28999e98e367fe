//! A sign-in in progress: everything that the callback needs, sealed in a cookie, without a write to a store. Each sign-in
//! has a cookie of its own, so two tabs can sign in at once. Their number is bounded, so they cannot fill the cookie jar.

use causeway_protocol::{
    base64url::{CHARS_OF_32_BYTES, is_base64url},
    session::SessionHandle,
    signature::KeyRing,
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::step_up::Demand;
use crate::{
    http::{
        cookie::{self, Found, PREFIX, SameSite},
        origin::ReturnTo,
    },
    oauth::{exchange::AuthorizationSecrets, provider::Provider},
    runtime::{
        clock::MAX_SKEW_MS, dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable,
    },
    seal::{Contents, Purpose, Sealed, decode_json, encode_json},
    session::{handoff::Recipient, id::SessionId},
};

/// How long a user may take at the provider.
const MAX_AGE_SECONDS: u64 = 600;
/// The longest time from the beginning of a sign-in to its callback, in milliseconds, if the clocks of the two isolates
/// differ as much as they may.
pub const MAX_COMPLETION_MS: u64 = MAX_AGE_SECONDS * 1000 + MAX_SKEW_MS;
/// Most sign-ins in progress in one browser; the oldest are dropped.
const MAX_PARALLEL: usize = 4;
/// How many characters of the state are in the cookie's name.
const NAME_CHARS: usize = 16;

/// What the callback needs of a sign-in.
#[derive(Serialize, Deserialize)]
pub struct Transaction {
    /// State, nonce and code_verifier: they bind the provider's answer to this browser and this sign-in.
    #[serde(flatten)]
    pub secrets: AuthorizationSecrets,
    /// Where the user goes afterwards.
    #[serde(deserialize_with = "ReturnTo::deserialize_sealed")]
    pub return_to: ReturnTo,
    /// When it began, in Unix milliseconds.
    pub created_at_ms: u64,
    /// The session that the browser had when the sign-in began. It ends before the new one is created (S21, S22).
    pub replaces: Option<SessionHandle>,
    /// The session that gets one more account instead. The callback comes from the provider's site, so the browser does
    /// not send the session cookie with it; the id is as safe in this sealed cookie.
    pub connects: Option<SessionId>,
    /// The page of another site that gets the session instead of a cookie being set here.
    pub recipient: Option<Recipient>,
    /// The upstream's demand that this sign-in answers. Only with [`Self::connects`].
    #[serde(default)]
    pub demand: Option<Demand>,
}

impl Transaction {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn begin(
        platform: &impl Platform,
        return_to: ReturnTo,
        replaces: Option<SessionHandle>,
        connects: Option<SessionId>,
        recipient: Option<Recipient>,
    ) -> Result<Self, Unavailable> {
        Ok(Self {
            secrets: AuthorizationSecrets::generate(platform)?,
            return_to,
            created_at_ms: platform.now_ms(),
            replaces,
            connects,
            recipient,
            demand: None,
        })
    }

    /// The same, in answer to an upstream's demand.
    #[must_use]
    pub fn answering(self, demand: Option<Demand>) -> Self {
        Self { demand, ..self }
    }

    /// The `Set-Cookie` values that store it in the browser and drop the oldest ones beyond [`MAX_PARALLEL`].
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
        let issuer = provider.issuer();
        let sealed = Sealed::seal(self, keys, platform, &context(&name, provider, &issuer))?;
        // Browsers send older cookies first (RFC 6265 §5.4), so the first ones are dropped.
        let mut others: Vec<&str> =
            cookie::all(request).map(|(name, _)| name).filter(|name| is_cookie_name(name)).collect();
        others.dedup();
        let surplus = (others.len() + 1).saturating_sub(MAX_PARALLEL);
        let mut cookies: Vec<String> =
            others.iter().take(surplus).map(|name| cookie::clear(name, SameSite::Lax)).collect();
        cookies.push(cookie::set(&name, &sealed.to_text(), SameSite::Lax, MAX_AGE_SECONDS));
        Ok(cookies)
    }

    /// Finds the transaction that a callback's `state` belongs to.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub fn find(
        platform: &impl Platform,
        keys: &KeyRing,
        provider: &Provider,
        request: &HeaderMap,
        state: &str,
    ) -> Result<Self, Reason> {
        let name = cookie_name(state).ok_or(Reason::StateMalformed)?;
        let value = match cookie::find(request, &name) {
            Found::One(value) => value,
            Found::None => return Err(Reason::StateUnknown),
            Found::Several => return Err(Reason::SeveralSignInCookies),
        };
        let broken = Reason::SignInCookieNotOpened;
        let issuer = provider.issuer();
        let sealed = Sealed::<Self>::from_text(value).ok_or(broken)?;
        let transaction = sealed.open(keys, &context(&name, provider, &issuer)).map_err(|_| broken)?;
        if !bool::from(transaction.secrets.state.as_bytes().ct_eq(state.as_bytes())) {
            return Err(Reason::StateMismatch);
        }
        if platform.now_ms().saturating_sub(transaction.created_at_ms) > MAX_AGE_SECONDS * 1000 {
            return Err(Reason::SignInExpired);
        }
        Ok(transaction)
    }
}

impl Contents for Transaction {
    const PURPOSE: Purpose = Purpose::LoginCookie;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        encode_json(Dependency::SignIn, self)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        decode_json(plaintext)
    }
}

/// Binds a cookie to its name, provider, issuer and redirect URI: a sign-in with one provider cannot finish at another
/// provider's callback (S4).
fn context<'a>(name: &'a str, provider: &'a Provider, issuer: &'a str) -> [&'a [u8]; 4] {
    [name.as_bytes(), provider.id.as_bytes(), issuer.as_bytes(), provider.redirect_uri.as_bytes()]
}

/// Whether this browser has a sign-in in progress that a state could belong to. Also true for text that is not a state of
/// this edge.
#[must_use]
pub fn is_in_progress(request: &HeaderMap, state: &str) -> bool {
    cookie_name(state).is_none_or(|name| cookie::find(request, &name) != Found::None)
}

/// The name of the cookie of a state. `None` if the text is not a state of this edge.
#[must_use]
pub fn cookie_name(state: &str) -> Option<String> {
    is_base64url(state, CHARS_OF_32_BYTES)
        .then(|| format!("{PREFIX}login-{}", state.get(..NAME_CHARS).unwrap_or_default()))
}

fn is_cookie_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("login-")).is_some_and(|rest| rest.len() == NAME_CHARS)
}
