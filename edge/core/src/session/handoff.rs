//! Giving a session to a page of another site.
//!
//! A sign-in is a navigation of the whole window, and what is set there a browser keeps apart from what the same edge is
//! sent by a page of another site (CHIPS). So the session begins as nobody's, and the page takes it by a request of its
//! own: with a code that came in its address and the verifier that it never showed, as in PKCE (RFC 7636).
//!
//! The code opens only for the origin and the challenge it was sealed for. So a wrong verifier or another origin is told
//! nothing and uses nothing up: who merely saw a code can neither take the session nor keep its owner from it. Taking it
//! is the coordinator's to decide, once; a second time ends the session.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::{
    base64url::{CHARS_OF_32_BYTES, is_base64url},
    hub::EndReason,
    session::SessionHandle,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    id::SessionId,
    record::SessionRecord,
    state::{Command, Reply},
    store::Sessions,
};
use crate::{
    error::Error,
    http::origin::Origin,
    runtime::{clock::MAX_SKEW_MS, platform::Platform},
    seal::{self, Binding, Purpose},
};

/// How long a page has to take its session, in milliseconds, by the coordinator's clock.
const CODE_LIFETIME_MS: u64 = 60 * 1000;

/// The page that a session is for: of this origin, and with the verifier of this challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    origin: String,
    challenge: String,
}

impl Recipient {
    /// As it is known when a sign-in begins. `None` if the challenge has not the form of one (S256 in base64url).
    #[must_use]
    pub fn new(origin: &Origin, challenge: &str) -> Option<Self> {
        is_base64url(challenge, CHARS_OF_32_BYTES).then(|| Self { origin: origin.as_str().to_owned(), challenge: challenge.to_owned() })
    }

    /// As it shows itself when it takes its session. `None` if the verifier has not the form of one.
    #[must_use]
    pub fn by_verifier(origin: &Origin, verifier: &str) -> Option<Self> {
        let challenge = is_base64url(verifier, CHARS_OF_32_BYTES).then(|| BASE64.encode(Sha256::digest(verifier)))?;
        Some(Self { origin: origin.as_str().to_owned(), challenge })
    }
}

impl<P: Platform> Sessions<'_, P> {
    /// Begins a session for a page of another site, and returns the code by which it takes it.
    ///
    /// # Errors
    /// As [`Sessions::create`].
    pub async fn create_for(
        &self,
        recipient: &Recipient,
        record: &SessionRecord,
        user_agent: &str,
    ) -> Result<String, Error> {
        // What is older than this by any clock is nobody's business; for the rest the coordinator is asked.
        let ends_at_ms = self.platform.now_ms().saturating_add(CODE_LIFETIME_MS + MAX_SKEW_MS);
        let id = SessionId::draw(self.platform)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(48));
        plain.extend(ends_at_ms.to_be_bytes());
        plain.extend(record.expires_at_ms.to_be_bytes());
        plain.extend(id.as_bytes());
        let context = self.code_context(recipient);
        let binding = Binding { purpose: Purpose::HandoffCode, context: &context, secret: b"" };
        let code = BASE64.encode(seal::seal(&self.settings.keys, self.platform, binding, &plain)?);
        self.begin_session(&id, record, user_agent, Some(CODE_LIFETIME_MS)).await?;
        Ok(code)
    }

    /// Takes the session of a code and returns the `Set-Cookie` value that gives it to the browser. The session that the
    /// page had `before` ends (S22).
    ///
    /// # Errors
    /// [`Error::SignInRefused`] for a code that is not this recipient's, is too old or was used: in the last case its
    /// session has ended. [`Error::Unavailable`] if that cannot be known: nothing was given out.
    pub async fn redeem(
        &self,
        code: &str,
        recipient: &Recipient,
        before: Option<SessionHandle>,
    ) -> Result<String, Error> {
        let refused = |reason| Error::SignInRefused { reason };
        let (ends_at_ms, expires_at_ms, id) =
            self.open_code(code, recipient).ok_or(refused("hand-off code does not open"))?;
        if self.platform.now_ms() >= ends_at_ms {
            return Err(refused("hand-off code expired"));
        }
        let handle = id.handle();
        // Before the new one begins: failing between the two leaves the user signed out, not signed in twice.
        if let Some(before) = before.filter(|before| *before != handle) {
            self.end(&before, EndReason::Revoked).await?;
        }
        if let Reply::Active { .. } = self.coordinate(&handle, Command::Redeem).await? {
            return Ok(self.cookie_of(&id, 1, expires_at_ms)?);
        }
        // The coordinator has ended it, or nobody can take it any more; its streams and what is kept of it go, too.
        self.end(&handle, EndReason::Revoked).await?;
        Err(refused("hand-off code used before, or too late"))
    }

    fn open_code(&self, code: &str, recipient: &Recipient) -> Option<(u64, u64, SessionId)> {
        let blob = BASE64.decode(code).ok()?;
        let context = self.code_context(recipient);
        let binding = Binding { purpose: Purpose::HandoffCode, context: &context, secret: b"" };
        let plain = seal::open(&self.settings.keys, binding, &blob).ok()?;
        let (ends_at_ms, rest) = plain.split_first_chunk()?;
        let (expires_at_ms, id) = rest.split_first_chunk()?;
        Some((u64::from_be_bytes(*ends_at_ms), u64::from_be_bytes(*expires_at_ms), SessionId::from_bytes(id)?))
    }

    fn code_context<'a>(&'a self, recipient: &'a Recipient) -> [&'a [u8]; 3] {
        [self.settings.public_origin.as_str().as_bytes(), recipient.origin.as_bytes(), recipient.challenge.as_bytes()]
    }
}
