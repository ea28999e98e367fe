//! Creating a session: it is added to its indexes first, then its record is stored.

use causeway_protocol::{hub::EndReason, session::SessionHandle};

use super::{
    ending::MAX_ROOM_MADE,
    id::SessionId,
    index::{self, Entry, IndexName, IssuedAt},
    label,
    record::SessionRecord,
    state::{Command, Reply},
    store::Sessions,
};
use crate::{
    error::Error,
    runtime::{clock::millis, dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable},
};

impl<P: Platform> Sessions<'_, P> {
    /// Creates a session for a browser and returns the `Set-Cookie` value. `user_agent` is the browser's own description.
    ///
    /// # Errors
    /// A store did not answer, or the provider ended the sign-in meanwhile: no session was created.
    pub async fn create(&self, record: &SessionRecord, user_agent: &str) -> Result<String, Error> {
        let id = SessionId::generate(self.platform)?;
        let cookie = self.cookie_of(&id, 1, record.expires_at_ms)?;
        self.create_session(&id, record, user_agent, None).await?;
        Ok(cookie)
    }

    /// Creates a session that is valid at once or, with `redeem_in_ms`, once it is redeemed. Its cookie or code is made
    /// before: there is no session that cannot be opened.
    pub(super) async fn create_session(
        &self,
        id: &SessionId,
        record: &SessionRecord,
        user_agent: &str,
        redeem_in_ms: Option<u64>,
    ) -> Result<(), Error> {
        let handle = id.handle();
        let mut indexes = vec![(IndexName::user(&record.user.subject.to_string()), None)];
        let of_accounts = record.indexes(self.platform.now_ms());
        indexes.extend(of_accounts.into_iter().map(|(name, signed_in)| (name, Some(signed_in))));
        let indexes = self.index(&handle, record, indexes, 1, label::of_user_agent(user_agent)).await?;
        let stored = self.seal(id, 1, record)?;
        let create = Command::Create {
            subject: record.user.subject.clone(),
            expires_at_ms: record.expires_at_ms,
            idle_limit_ms: millis(self.settings.idle_limit),
            record: stored.sealed.to_text(),
            indexes,
            redeem_in_ms,
        };
        let question = self.cache.question(self.platform.now_ms());
        match self.coordinate(&handle, create).await? {
            Reply::Active { .. } => {}
            // It was ended after it was indexed and before it was created.
            _ => return Err(Error::SignInRefused { reason: Reason::SignInEndedByProvider }),
        }
        self.write_copy(&handle, &stored, record).await;
        // A session that is not redeemed yet is not valid.
        if redeem_in_ms.is_none() {
            self.cache.put(&handle, question, stored.into());
        }
        Ok(())
    }

    /// Adds the session to indexes, each with the time at which its provider authenticated the user. This comes before
    /// the session is created or has the account, so ending an index cannot miss it. `generation` is that of the record
    /// that will name them.
    pub(super) async fn index(
        &self,
        handle: &SessionHandle,
        record: &SessionRecord,
        indexes: Vec<(IndexName, Option<IssuedAt>)>,
        generation: u64,
        label: String,
    ) -> Result<Vec<IndexName>, Error> {
        let entry = Entry {
            session: handle.clone(),
            created_at_ms: record.created_at_ms,
            expires_at_ms: record.expires_at_ms,
            label,
            generation,
        };
        let of_user = IndexName::user(&record.user.subject.to_string());
        for (name, signed_in) in &indexes {
            let add = index::Command::Add { entry: entry.clone(), signed_in: *signed_in };
            let mut reply = self.ask_index(name, add.clone()).await?;
            if reply == index::Reply::Full {
                self.make_room(name).await?;
                reply = self.ask_index(name, add).await?;
            }
            match reply {
                index::Reply::Added { surplus } if *name == of_user => {
                    // The bound leaves the surplus of concurrent sign-ins to those sign-ins.
                    for oldest in surplus.into_iter().take(MAX_ROOM_MADE) {
                        self.end(&oldest, EndReason::Revoked).await?;
                        self.ask_index(name, index::Command::remove(&oldest)).await?;
                    }
                }
                index::Reply::Added { .. } => {}
                index::Reply::Ended => {
                    return Err(Error::SignInRefused { reason: Reason::SignInEndedByProvider });
                }
                index::Reply::Full => return Err(Error::SignInRefused { reason: Reason::TooManySessions }),
                index::Reply::Entries(_) => {
                    return Err(Unavailable::new(Dependency::SessionIndex, "sent an unexpected reply").into());
                }
            }
        }
        Ok(indexes.into_iter().map(|(name, _)| name).collect())
    }
}
