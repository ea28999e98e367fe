//! The session cookie: the session's id, its end and the generation of the record that its browser knows, sealed.

use http::HeaderMap;
use zeroize::Zeroizing;

use super::{id::SessionId, settings::SessionSettings};
use crate::{
    error::Error,
    http::cookie::{self, Found, SESSION_COOKIE, SameSite},
    runtime::{platform::Platform, reason::Reason, unavailable::Unavailable},
    seal::{Contents, Purpose, Sealed},
};

/// What a session cookie contains.
pub(super) struct CookieContents {
    pub(super) expires_at_ms: u64,
    /// The generation of the record that the browser knows.
    pub(super) generation: u64,
    pub(super) id: SessionId,
}

/// The layout is `end (8) ‖ generation (8) ‖ id (32)`.
impl Contents for CookieContents {
    const PURPOSE: Purpose = Purpose::SessionCookie;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(48));
        plaintext.extend(self.expires_at_ms.to_be_bytes());
        plaintext.extend(self.generation.to_be_bytes());
        plaintext.extend(self.id.as_bytes());
        Ok(plaintext)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        let (expires_at_ms, rest) = plaintext.split_first_chunk()?;
        let (generation, id) = rest.split_first_chunk()?;
        let (expires_at_ms, generation) = (u64::from_be_bytes(*expires_at_ms), u64::from_be_bytes(*generation));
        Some(Self { expires_at_ms, generation, id: SessionId::from_bytes(id)? })
    }
}

impl CookieContents {
    /// The `Set-Cookie` value.
    pub(super) fn set(&self, platform: &impl Platform, settings: &SessionSettings) -> Result<String, Unavailable> {
        let sealed = Sealed::seal(self, &settings.keys, platform, &context(settings))?;
        let lives_ms = self.expires_at_ms.saturating_sub(platform.now_ms());
        let same_site = SameSite::of_session(settings.embed);
        Ok(cookie::set(SESSION_COOKIE, &sealed.to_text(), same_site, lives_ms / 1000))
    }

    /// The contents of a request's session cookie, and whether it is sealed under the active key. The end is not checked.
    pub(super) fn find(headers: &HeaderMap, settings: &SessionSettings) -> Result<(Self, bool), Error> {
        let value = match cookie::find(headers, SESSION_COOKIE) {
            Found::One(value) => value,
            Found::None => return Err(Error::Unauthenticated { reason: Reason::NoSessionCookie }),
            Found::Several => return Err(Error::Unauthenticated { reason: Reason::SeveralSessionCookies }),
        };
        Self::open(value, settings).ok_or(Error::Unauthenticated { reason: Reason::SessionCookieNotOpened })
    }

    /// The contents of each session cookie that opens.
    pub(super) fn find_all(headers: &HeaderMap, settings: &SessionSettings) -> impl Iterator<Item = Self> {
        let values = cookie::all(headers).filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value);
        values.filter_map(|value| Some(Self::open(value, settings)?.0))
    }

    fn open(value: &str, settings: &SessionSettings) -> Option<(Self, bool)> {
        let sealed = Sealed::<Self>::from_text(value)?;
        let contents = sealed.open(&settings.keys, &context(settings)).ok()?;
        Some((contents, sealed.is_current(&settings.keys)))
    }
}

fn context(settings: &SessionSettings) -> [&[u8]; 2] {
    [SESSION_COOKIE.as_bytes(), settings.public_origin.as_str().as_bytes()]
}
