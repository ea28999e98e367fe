//! Handing a session over to a page of another site.
//!
//! A sign-in is a top-level navigation. Browsers keep the cookies set there apart from those that the edge gets from a
//! page of another site (CHIPS). So the session is created unredeemed, and the page redeems it with a request of its own:
//! with a code from its address and a verifier that it never sent before, as in PKCE (RFC 7636).
//!
//! The code opens only for the origin and the challenge it was sealed for. A wrong verifier or another origin gets no
//! information and consumes nothing: an attacker with only the code can neither redeem the session nor prevent its owner
//! from doing so. The coordinator accepts a code once; a second use ends the session.

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
    runtime::{clock::MAX_SKEW_MS, platform::Platform, reason::Reason, unavailable::Unavailable},
    seal::{Contents, Purpose, Sealed},
};

/// How long a page has to redeem its session, in milliseconds, by the coordinator's clock.
const CODE_LIFETIME_MS: u64 = 60 * 1000;

/// The page that a session is for: its origin and the challenge of its verifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    origin: String,
    challenge: String,
}

impl Recipient {
    /// The recipient when a sign-in begins. `None` if the challenge is malformed (S256 in base64url).
    #[must_use]
    pub fn new(origin: &Origin, challenge: &str) -> Option<Self> {
        is_base64url(challenge, CHARS_OF_32_BYTES)
            .then(|| Self { origin: origin.as_str().to_owned(), challenge: challenge.to_owned() })
    }

    /// The recipient when it redeems its session. `None` if the verifier is malformed.
    #[must_use]
    pub fn by_verifier(origin: &Origin, verifier: &str) -> Option<Self> {
        let challenge = is_base64url(verifier, CHARS_OF_32_BYTES).then(|| BASE64.encode(Sha256::digest(verifier)))?;
        Some(Self { origin: origin.as_str().to_owned(), challenge })
    }
}

/// What a code contains.
struct Code {
    /// When the code ends, in Unix milliseconds.
    ends_at_ms: u64,
    /// When the session ends, in Unix milliseconds.
    session_expires_at_ms: u64,
    id: SessionId,
}

/// The layout is `end (8) ‖ session's end (8) ‖ id (32)`.
impl Contents for Code {
    const PURPOSE: Purpose = Purpose::HandoffCode;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(48));
        plaintext.extend(self.ends_at_ms.to_be_bytes());
        plaintext.extend(self.session_expires_at_ms.to_be_bytes());
        plaintext.extend(self.id.as_bytes());
        Ok(plaintext)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        let (ends_at_ms, rest) = plaintext.split_first_chunk()?;
        let (session_expires_at_ms, id) = rest.split_first_chunk()?;
        Some(Self {
            ends_at_ms: u64::from_be_bytes(*ends_at_ms),
            session_expires_at_ms: u64::from_be_bytes(*session_expires_at_ms),
            id: SessionId::from_bytes(id)?,
        })
    }
}

impl<P: Platform> Sessions<'_, P> {
    /// Creates a session for a page of another site, and returns the code with which the page redeems it.
    ///
    /// # Errors
    /// As [`Sessions::create`].
    pub async fn create_for(
        &self,
        recipient: &Recipient,
        record: &SessionRecord,
        user_agent: &str,
    ) -> Result<String, Error> {
        // By any clock, the code is useless after this; until then the coordinator decides.
        let ends_at_ms = self.platform.now_ms().saturating_add(CODE_LIFETIME_MS + MAX_SKEW_MS);
        let id = SessionId::generate(self.platform)?;
        let code = Code { ends_at_ms, session_expires_at_ms: record.expires_at_ms, id };
        let sealed = Sealed::seal(&code, &self.settings.keys, self.platform, &self.code_context(recipient))?;
        self.create_session(&code.id, record, user_agent, Some(CODE_LIFETIME_MS)).await?;
        Ok(sealed.to_text())
    }

    /// Redeems the session of a code and returns its `Set-Cookie` value. The session that the page had `before` ends (S22).
    ///
    /// # Errors
    /// [`Error::SignInRefused`] for a code of another recipient, an expired one or a used one, whose session then ends.
    /// [`Error::Unavailable`] if a store does not answer: no session was handed over.
    pub async fn redeem(
        &self,
        code: &str,
        recipient: &Recipient,
        before: Option<SessionHandle>,
    ) -> Result<String, Error> {
        let refused = |reason| Error::SignInRefused { reason };
        let Code { ends_at_ms, session_expires_at_ms, id } =
            self.open_code(code, recipient).ok_or(refused(Reason::HandoffCodeNotOpened))?;
        if self.platform.now_ms() >= ends_at_ms {
            return Err(refused(Reason::HandoffCodeExpired));
        }
        let handle = id.handle();
        // The old session ends first: a failure between the two leaves the user signed out, not signed in twice.
        if let Some(before) = before.filter(|before| *before != handle) {
            self.end(&before, EndReason::Revoked).await?;
        }
        if let Reply::Active { .. } = self.coordinate(&handle, Command::Redeem).await? {
            return Ok(self.cookie_of(&id, 1, session_expires_at_ms)?);
        }
        // The coordinator ended it, or it was not redeemed in time: its streams, copy and index entries go, too.
        self.end(&handle, EndReason::Revoked).await?;
        Err(refused(Reason::HandoffCodeSpent))
    }

    fn open_code(&self, code: &str, recipient: &Recipient) -> Option<Code> {
        Sealed::from_text(code)?.open(&self.settings.keys, &self.code_context(recipient)).ok()
    }

    fn code_context<'a>(&'a self, recipient: &'a Recipient) -> [&'a [u8]; 3] {
        [self.settings.public_origin.as_str().as_bytes(), recipient.origin.as_bytes(), recipient.challenge.as_bytes()]
    }
}
