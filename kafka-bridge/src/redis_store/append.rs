//! Appends to the buffers of several users in one round trip: a script for each user, all in one pipeline.

use std::sync::LazyLock;

use causeway_protocol::deliver::{Item, Slice};
use redis::{Cmd, Pipeline, Script};

use super::{
    buffer::{UserBuffers, millis},
    connection::RedisError,
    key,
    wake::MAX_WAKE_BYTES,
};
use crate::outbound::UserSlices;

static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("script/shared.lua"), include_str!("script/append.lua"))));

/// What became of a user's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// They are stored. So many of them were new.
    Stored(u64),
    /// A later owner delivers one of the partitions. Nothing was stored.
    Stale,
    /// The user has no buffer, and none may be created. Nothing was stored.
    NoBuffer,
}

impl UserBuffers {
    /// Appends items of several users, each user's atomically and in order. Skips records that a buffer has or once
    /// had. A user whose buffer can't be used does not concern the others.
    ///
    /// # Errors
    /// [`RedisError`] if Redis fails as a whole. The call may be repeated.
    pub async fn append(
        &self,
        users: &[&UserSlices],
        may_create: bool,
        now_ms: u64,
    ) -> Result<Vec<Result<Appended, RedisError>>, RedisError> {
        let mut pipeline = Pipeline::with_capacity(users.len());
        for user in users {
            pipeline.add_command(self.append_command(user, may_create, now_ms));
        }
        let results = self.redis.scripts(&APPEND, &mut pipeline).await?;
        if results.len() != users.len() {
            return Err(RedisError::BadValue("the number of results"));
        }
        results.into_iter().map(read_result).collect()
    }

    fn append_command(&self, user: &UserSlices, may_create: bool, now_ms: u64) -> Cmd {
        let limits = &self.limits;
        let mut command = redis::cmd("EVALSHA");
        command.arg(APPEND.get_hash()).arg(3).arg(&key::buffer(&user.subject));
        command
            .arg(now_ms)
            .arg(u8::from(may_create))
            .arg(format!("{:032x}", fastrand::u128(..)))
            .arg(user.subject.to_string())
            .arg(key::WAKE_CHANNEL)
            .arg(MAX_WAKE_BYTES)
            .arg(limits.messages)
            .arg(limits.bytes)
            .arg(limits.records)
            .arg(limits.slack_percent)
            .arg(millis(limits.age))
            .arg(millis(limits.idle));
        for Slice { source, items, .. } in &user.slices {
            command.arg(source.channel.as_str()).arg(source.partition).arg(source.epoch).arg(source.generation);
            command.arg(items.len());
            for item in items {
                command.arg(item.offset).arg(relation(item)).arg(&item.frame);
            }
        }
        command
    }
}

/// Whether an item is a piece of a message, or completes one. One that does both is the whole message.
fn relation(item: &Item) -> String {
    match (&item.completes, &item.piece_of) {
        (Some(message), _) => format!("c{message}"),
        (None, Some(message)) => format!("p{message}"),
        (None, None) => String::new(),
    }
}

/// An outage is an error of the whole call, any other error one of the user.
fn read_result(result: Result<i64, RedisError>) -> Result<Result<Appended, RedisError>, RedisError> {
    match result {
        Ok(-1) => Ok(Ok(Appended::Stale)),
        Ok(-2) => Ok(Ok(Appended::NoBuffer)),
        Ok(added) => Ok(u64::try_from(added).map(Appended::Stored).map_err(|_| RedisError::BadValue("a count"))),
        Err(error) if error.is_outage() => Err(error),
        Err(error) => Ok(Err(error)),
    }
}
