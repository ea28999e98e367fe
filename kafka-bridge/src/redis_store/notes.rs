//! The notes by which instances recognise an event that another one has written.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use redis::{Cmd, Pipeline, Script};

use super::{
    connection::{Redis, RedisError},
    key,
};
use crate::inbound::{NoteChange, Replaced, SharedNotes};

static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/replace_note.lua")));

/// What became of a note, as the script says it.
type Reply = (bool, Option<String>);

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
    async fn claim(&self, change: &NoteChange, keep: Duration) -> Result<Replaced, String> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command(change, keep, false));
        let results = self.0.claims(&REPLACE, &mut pipeline).await.map_err(|error| error.to_string())?;
        read(results)?.pop().ok_or_else(|| "no result".to_owned())
    }

    async fn publish(&self, changes: &[NoteChange], keep: Duration) -> Result<Vec<Replaced>, String> {
        let mut pipeline = Pipeline::with_capacity(changes.len());
        for change in changes {
            pipeline.add_command(command(change, keep, true));
        }
        let results = self.0.scripts(&REPLACE, &mut pipeline).await.map_err(|error| error.to_string())?;
        read(results)
    }
}

fn command(change: &NoteChange, keep: Duration, is_lasting: bool) -> Cmd {
    let NoteChange { key, expected, new } = change;
    let mut command = redis::cmd("EVALSHA");
    command.arg(REPLACE.get_hash()).arg(1).arg(key::said(&key.subject, &key.channel, &key.id));
    command.arg(expected.as_deref().unwrap_or_default()).arg(new.as_deref().unwrap_or_default());
    command.arg(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)).arg(u8::from(is_lasting));
    command
}

fn read(results: Vec<Result<Reply, RedisError>>) -> Result<Vec<Replaced>, String> {
    let replaced = |(is_done, found)| if is_done { Replaced::Done } else { Replaced::Found(found) };
    results.into_iter().map(|result| result.map(replaced).map_err(|error| error.to_string())).collect()
}
