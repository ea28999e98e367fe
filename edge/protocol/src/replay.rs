//! How records are read again that a user's buffer no longer has: `GET /v1/replay?read=…`, signed by the edge like every
//! request. The signature covers the query.
//!
//! `GET /v1/hole?of=<cursor>` says whether offsets after a client's position were lost that may have been anybody's. The
//! answer is a [`HoleAnswer`] as JSON.
//!
//! The answer to a replay is text: a line of JSON, [`ReplayHead`], then frames in the very bytes of live delivery. One answer is
//! limited, so a long range takes several requests.

use serde::{Deserialize, Serialize};

use crate::{
    channel::Channel,
    cursor::Cursor,
    deliver::{Slice, Versioned, WIRE_VERSION},
    history::HistoryRequest,
    hub::ResetReason,
    query,
    subject::Subject,
};

/// Path of the bridge's endpoint.
pub const REPLAY_PATH: &str = "/v1/replay";

/// Path of the bridge's endpoint about holes. `of` is a cursor, whose offset does not matter.
pub const HOLE_PATH: &str = "/v1/hole";

/// The parameter that holds a request.
const PARAMETER: &str = "read";

/// The longest `read` parameter that is read, in bytes.
const MAX_READ_BYTES: usize = 2048;

/// The most records of an answer to [`ReplayRange::Before`].
pub const MAX_BEFORE: u32 = 200;

/// The largest answer, in bytes, but for its last record and its first line.
pub const MAX_REPLAY_BYTES: usize = 512 * 1024;

/// The maximum number of requests for what one stream missed. What exceeds them is told as a gap.
pub const MAX_REPLAY_REQUESTS: u32 = 24;

/// A request for records of one user in one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRequest {
    /// [`crate::deliver::WIRE_VERSION`].
    pub version: u32,
    /// The session's user. A cursor never chooses the user.
    pub subject: Subject,
    /// The channel. Cursors of another one are refused.
    pub channel: Channel,
    /// Which records.
    pub range: ReplayRange,
}

/// Which records are read. They are answered in the order of their offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayRange {
    /// Those after a client's position. Where some can't be read, a gap is among the frames.
    After {
        /// The client's position.
        cursor: Cursor,
        /// The last record. Without it, up to the last one that Kafka has now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Cursor>,
    },
    /// Those written at a time or later, by Kafka's index of timestamps.
    Since {
        /// Unix time in milliseconds.
        time_ms: i64,
    },
    /// The last ones before a position.
    Before {
        /// The position. Without it, the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Cursor>,
        /// How many, at most [`MAX_BEFORE`].
        limit: u32,
    },
}

/// The first line of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayHead {
    /// How many records there are.
    pub records: u32,
    /// The position with which the next request goes on: after it, or before it if earlier records were asked for. `None`
    /// if there is nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Cursor>,
    /// Why records of the range can't be read, if no gap among the frames says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<ResetReason>,
}

/// The answer about the last hole of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoleAnswer {
    /// [`crate::deliver::WIRE_VERSION`].
    pub version: u32,
    /// The gap for the users of the partition, if there is one. It goes into a user's buffer as a delivery does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
}

/// The text is not one that the other side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a replay's request or answer")]
pub struct ReplayError;

impl ReplayRequest {
    /// The request for a page of a user's history.
    #[must_use]
    pub fn for_page(subject: Subject, page: &HistoryRequest) -> Self {
        let HistoryRequest { channel, before, limit } = page.clone();
        let range = ReplayRange::Before { cursor: before, limit };
        Self { version: WIRE_VERSION, subject, channel, range }
    }

    /// The path and query of the request.
    #[must_use]
    pub fn target(&self) -> String {
        query::target(REPLAY_PATH, PARAMETER, self)
    }

    /// Reads the query of a [`ReplayRequest::target`].
    ///
    /// # Errors
    /// [`ReplayError`] for anything that `target` does not write.
    pub fn from_query(query: &str) -> Result<Self, ReplayError> {
        query::read(query, PARAMETER, MAX_READ_BYTES).ok_or(ReplayError)
    }

    /// The version of a query's sender, whatever else the query contains.
    #[must_use]
    pub fn version_of_query(query: &str) -> Option<u32> {
        query::read(query, PARAMETER, MAX_READ_BYTES).map(|versioned: Versioned| versioned.version)
    }
}

impl ReplayHead {
    /// The text of an answer.
    #[must_use]
    pub fn to_text(&self, frames: &str) -> String {
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.reserve(frames.len() + 1);
        text.push('\n');
        text.push_str(frames);
        text
    }

    /// Reads an answer: its head and its frames.
    ///
    /// # Errors
    /// [`ReplayError`] for anything that `to_text` does not write.
    pub fn parse(text: &str) -> Result<(Self, &str), ReplayError> {
        let (first, frames) = text.split_once('\n').ok_or(ReplayError)?;
        Ok((serde_json::from_str(first).map_err(|_| ReplayError)?, frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        "v2.chat.1.0.7".parse().unwrap()
    }

    #[test]
    fn a_request_round_trips_through_its_url() {
        let ranges = [
            ReplayRange::After { cursor: cursor(), until: None },
            ReplayRange::After { cursor: cursor(), until: Some(cursor()) },
            ReplayRange::Since { time_ms: -1 },
            ReplayRange::Before { cursor: Some(cursor()), limit: 50 },
        ];
        for range in ranges {
            let request = ReplayRequest {
                version: 2,
                subject: Subject::new("t", "u").unwrap(),
                channel: Channel::parse("chat").unwrap(),
                range,
            };
            let target = request.target();
            let query = target.strip_prefix("/v1/replay?").unwrap();
            assert_eq!(ReplayRequest::version_of_query(query), Some(2));
            assert_eq!(ReplayRequest::from_query(query), Ok(request));
        }
    }

    #[test]
    fn anything_else_is_rejected() {
        for bad in ["", "read=", "read=%%%", "x=1", &format!("read={}", "A".repeat(3000))] {
            assert_eq!(ReplayRequest::from_query(bad), Err(ReplayError), "{bad}");
        }
        assert_eq!(ReplayHead::parse("{}"), Err(ReplayError));
        assert_eq!(ReplayHead::parse("x\n"), Err(ReplayError));
    }

    #[test]
    fn an_answer_round_trips_and_its_frames_stay_as_they_are() {
        let frames = "id: v2.chat.1.2.3\ndata: {}\n\n";
        let head = ReplayHead { records: 1, next: Some(cursor()), gone: Some(ResetReason::Retention) };
        assert_eq!(ReplayHead::parse(&head.to_text(frames)), Ok((head, frames)));
    }
}
