//! The notes by which instances recognise an event that another one has written.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use redis::Script;

use super::{connection::Redis, key};
use crate::inbound::{NoteKey, Replaced, SharedNotes};

static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/replace_note.lua")));

/// Keeps the notes in Redis.
pub struct RedisNotes(Arc<Redis>);

impl RedisNotes {
    /// Keeps the notes in this Redis.
    #[must_use]
    pub fn new(redis: Arc<Redis>) -> Self {
        Self(redis)
    }
}

#[async_trait]
impl SharedNotes for RedisNotes {
    async fn replace(
        &self,
        key: NoteKey<'_>,
        expected: Option<&str>,
        new: Option<&str>,
        keep: Duration,
    ) -> Result<Replaced, String> {
        let mut call = REPLACE.key(key::said(key.subject, key.channel, key.id));
        call.arg(expected.unwrap_or_default()).arg(new.unwrap_or_default());
        call.arg(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        let (is_done, found): (bool, Option<String>) =
            self.0.write_script(&call).await.map_err(|error| error.to_string())?;
        Ok(if is_done { Replaced::Done } else { Replaced::Found(found) })
    }
}
