//! Several accounts in one session: connecting one more, `POST /auth/{provider}/disconnect`.
//!
//! The account that the user signed in with makes the session theirs; the others only lend it their tokens.

use http::{StatusCode, header};

use super::context::{Context, client, provider};
use crate::{
    error::Error,
    http::web::Response,
    oauth::{
        cache,
        dpop::DpopKey,
        provider::Provider,
        revocation::{MAX_WAIT, revoke},
    },
    runtime::{
        clock::within,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    session::{
        id::SessionId,
        record::{LinkedAccount, SessionRecord},
        store::Session,
    },
};

/// How often a change is made anew because its writer was too slow.
const MAX_ATTEMPTS: usize = 3;

/// Why a change of the session's record failed.
#[derive(Debug)]
pub(super) enum ChangeError {
    /// Nothing was stored.
    Surely(Error),
    /// Nobody knows whether it was.
    Perhaps(Error),
}

impl From<Error> for ChangeError {
    fn from(error: Error) -> Self {
        Self::Surely(error)
    }
}

impl From<Unavailable> for ChangeError {
    fn from(error: Unavailable) -> Self {
        Self::Surely(error.into())
    }
}

impl From<ChangeError> for Error {
    fn from((ChangeError::Surely(error) | ChangeError::Perhaps(error)): ChangeError) -> Self {
        error
    }
}

/// Connects an account that has just signed in at its provider, and returns the session's cookie.
pub(super) async fn connect<P: Platform>(
    context: &Context<'_, P>,
    id: SessionId,
    provider: &Provider,
    account: LinkedAccount,
) -> Result<String, ChangeError> {
    let session = context.sessions().load_by_id(id).await?;
    let (before, session) = change(context, session, |record| {
        // Anybody else with the session's own provider would be another user.
        if record.provider == provider.id && record.user.subject != account.user.subject {
            return Err(Error::OtherAccount);
        }
        Ok(record.accounts.insert(provider.id.clone(), account.clone()))
    })
    .await?;
    // An account that was connected before and is another one now.
    if let Some(before) = before.filter(|before| before.sub != account.sub) {
        give_up(context, provider, &before).await;
    }
    context.sessions().cookie_for(&session).map_err(|error| ChangeError::Perhaps(error.into()))
}

/// `POST /auth/{provider}/disconnect`: forgets an account and its tokens. Does nothing if there is none.
pub(super) async fn disconnect<P: Platform>(
    context: &Context<'_, P>,
    session: Session,
) -> Result<Response<P::Body>, Error> {
    let provider = provider(context)?;
    if session.record.provider == provider.id {
        return Err(Error::OwnAccount);
    }
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    if session.record.accounts.contains_key(&provider.id) {
        let (before, session) = change(context, session, |record| Ok(record.accounts.remove(&provider.id))).await?;
        response.add(header::SET_COOKIE, &context.sessions().cookie_for(&session)?);
        if let Some(before) = before {
            give_up(context, provider, &before).await;
        }
    }
    Ok(response)
}

/// Changes a session's record as its writer; returns what the change took out, and the session as it is now.
async fn change<P: Platform>(
    context: &Context<'_, P>,
    mut session: Session,
    mut change: impl FnMut(&mut SessionRecord) -> Result<Option<LinkedAccount>, Error>,
) -> Result<(Option<LinkedAccount>, Session), ChangeError> {
    let sessions = context.sessions();
    for _ in 0..MAX_ATTEMPTS {
        let writer = sessions.begin_patiently(session.clone()).await?;
        let mut record = writer.session.record.clone();
        let taken = match change(&mut record) {
            Ok(taken) => taken,
            Err(error) => {
                sessions.give_back_unused(&writer).await?;
                return Err(error.into());
            }
        };
        let stored = sessions.store(&writer, &record).await.map_err(|error| match error {
            error @ Error::Unavailable(_) => ChangeError::Perhaps(error),
            error => ChangeError::Surely(error),
        });
        if let Some(changed) = stored? {
            return Ok((taken, changed));
        }
        session = writer.session;
    }
    Err(Unavailable::new("session coordinator", "others write for too long").into())
}

/// Tells the provider that the tokens of an account are not needed any more, if it is the one that issued them. Whatever
/// comes of it, the account is forgotten here, and the user waits no longer than [`MAX_WAIT`] (S128).
pub(super) async fn give_up<P: Platform>(context: &Context<'_, P>, provider: &Provider, account: &LinkedAccount) {
    if !provider.is_issuer(&account.issuer) {
        return;
    }
    let work = async {
        let endpoints = cache::endpoints(context.platform, &context.memory.discovery, provider).await?;
        let dpop = account.dpop_key.as_ref().and_then(DpopKey::from_jwk);
        revoke(&client(context, provider, &endpoints), &account.tokens, dpop.as_ref()).await;
        Ok(())
    };
    if let Err(error) = within(context.platform, MAX_WAIT, "identity provider", work).await {
        Event::warn("revocation.failed")
            .with("provider", Name(&provider.id))
            .with("detail", &error)
            .write(context.platform);
    }
}
