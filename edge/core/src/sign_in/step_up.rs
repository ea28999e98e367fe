//! Step-up: an upstream demands another authentication of the account's user, and the user signs in again to meet it.
//!
//! The demand travels through the page, sealed: upstream → 401 → page → login → sign-in cookie → callback. The page can
//! start the sign-in, but can neither read nor change nor invent what it asks for. The seal is tied to the session and the
//! provider, and ends after ten minutes.
//!
//! The account remembers the demands that its last sign-ins answered. An upstream that repeats one soon afterwards gets no
//! further sign-in, however it writes the demand: it would never be content. A demand for a token from after the sign-in is a
//! new one: the user's access may have been revoked once more. An upstream that makes one new demand after another gets no
//! further sign-in, either.

use causeway_protocol::signature::KeyRing;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    error::Error,
    oauth::{provider::Provider, step_up::StepUp},
    runtime::{dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable},
    seal::{Contents, Purpose, Sealed, decode_json, encode_json},
    session::{id::SessionId, record::AnsweredStepUp, store::Session},
};

/// How long a page may take to start the sign-in, in milliseconds.
const LIFETIME_MS: u64 = 10 * 60 * 1000;
/// How long an upstream must not repeat a demand that a sign-in answered, in milliseconds. A user whose authentication may
/// be a short time old only may be asked again after that time, but not before [`MIN_QUIET_MS`].
const QUIET_MS: u64 = 5 * 60 * 1000;
const MIN_QUIET_MS: u64 = 30 * 1000;
/// How far the clock of whoever wrote an `nbf` may be ahead of an isolate's, in milliseconds.
const NBF_SKEW_MS: u64 = 30 * 1000;
/// The most sign-ins in a row that answer demands.
const MAX_IN_A_ROW: u8 = 3;

/// An upstream's demand.
#[derive(Debug, Serialize, Deserialize)]
pub struct Demand {
    /// The upstream.
    service: String,
    /// What it demands.
    step_up: StepUp,
    /// When the demand was made, in Unix milliseconds.
    made_at_ms: u64,
}

impl Demand {
    /// The answer to a call whose upstream makes a demand: how to meet it, or that it was met in vain.
    #[must_use]
    pub fn answer(
        platform: &impl Platform,
        keys: &KeyRing,
        session: &Session,
        provider: &Provider,
        service: &str,
        step_up: StepUp,
    ) -> Error {
        let now_ms = platform.now_ms();
        let answered = session.record.accounts.get(&provider.id).and_then(|account| account.step_up.as_ref());
        if answered.is_some_and(|answered| is_in_vain(answered, service, &step_up, now_ms)) {
            return Error::StepUpInVain;
        }
        let demand = Self { service: service.to_owned(), step_up, made_at_ms: now_ms };
        let issuer = provider.issuer();
        let sealed =
            Sealed::seal_with_secret(&demand, keys, platform, &context(provider, &issuer), session.id.as_bytes());
        match sealed {
            Ok(sealed) => Error::StepUpNeeded { provider: provider.id.clone(), step_up: sealed.to_text() },
            Err(error) => error.into(),
        }
    }

    /// Opens the demand that a page sends back.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if it is not a recent one of this session and provider.
    pub fn open(
        platform: &impl Platform,
        keys: &KeyRing,
        session: &SessionId,
        provider: &Provider,
        text: &str,
    ) -> Result<Self, Error> {
        let bad = |reason| Error::BadRequest { reason };
        let sealed = Sealed::<Self>::from_text(text).ok_or(bad(Reason::StepUpNotOpened))?;
        let issuer = provider.issuer();
        let demand = sealed
            .open_with_secret(keys, &context(provider, &issuer), session.as_bytes())
            .map_err(|_| bad(Reason::StepUpNotOpened))?;
        if platform.now_ms().saturating_sub(demand.made_at_ms) > LIFETIME_MS {
            return Err(bad(Reason::StepUpExpired));
        }
        Ok(demand)
    }

    /// What the authorization request asks for.
    #[must_use]
    pub fn step_up(&self) -> &StepUp {
        &self.step_up
    }

    /// What the account remembers once its user has signed in.
    #[must_use]
    pub fn answered_at(&self, now_ms: u64) -> AnsweredStepUp {
        let digest = self.step_up.digest(&self.service);
        AnsweredStepUp { digest, made_at_ms: self.made_at_ms, at_ms: now_ms, in_a_row: 1, former: Vec::new() }
    }
}

/// Counts a sign-in that follows another one. The back button or a second tab may answer the very same demand again. That
/// counts once: it tells nothing of the upstream.
pub(super) fn follow(answered: &mut AnsweredStepUp, former: Option<&AnsweredStepUp>) {
    if let Some(former) = former.filter(|former| answered.at_ms.abs_diff(former.at_ms) < QUIET_MS) {
        let is_same = answered.digest == former.digest && answered.made_at_ms == former.made_at_ms;
        answered.in_a_row = former.in_a_row.saturating_add(u8::from(!is_same));
        let digests = former.former.iter().chain([&former.digest]).filter(|digest| **digest != answered.digest);
        answered.former = digests.take(usize::from(MAX_IN_A_ROW)).cloned().collect();
    }
}

/// Whether another sign-in would not content the upstream. The difference is absolute: isolates' clocks differ.
fn is_in_vain(answered: &AnsweredStepUp, service: &str, step_up: &StepUp, now_ms: u64) -> bool {
    let elapsed_ms = now_ms.abs_diff(answered.at_ms);
    let quiet_ms = match step_up.max_age_seconds() {
        Some(seconds) => seconds.saturating_mul(1000).clamp(MIN_QUIET_MS, QUIET_MS),
        None => QUIET_MS,
    };
    let is_repeated = elapsed_ms < quiet_ms && answered.has(&step_up.digest(service));
    is_repeated && !is_for_later_token(answered, step_up, now_ms)
        || elapsed_ms < QUIET_MS && answered.in_a_row >= MAX_IN_A_ROW
}

/// Whether only a token from after the sign-in meets a demand, and a sign-in could bring one now.
fn is_for_later_token(answered: &AnsweredStepUp, step_up: &StepUp, now_ms: u64) -> bool {
    step_up.not_before_seconds().is_some_and(|seconds| {
        let not_before_ms = seconds.saturating_mul(1000);
        not_before_ms > answered.at_ms.saturating_add(NBF_SKEW_MS)
            && not_before_ms <= now_ms.saturating_add(NBF_SKEW_MS)
    })
}

/// Binds a demand to its provider.
fn context<'a>(provider: &'a Provider, issuer: &'a str) -> [&'a [u8]; 2] {
    [provider.id.as_bytes(), issuer.as_bytes()]
}

impl Contents for Demand {
    const PURPOSE: Purpose = Purpose::StepUp;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        encode_json(Dependency::SignIn, self)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        decode_json(plaintext)
    }
}
