//! The commands to a session's state machine.

use causeway_protocol::subject::Subject;
use serde::{Deserialize, Serialize};

use crate::session::index::IndexName;

/// A command to a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Create the session.
    Create {
        /// Whose session it is.
        subject: Subject,
        /// When it ends at the latest, in Unix milliseconds.
        expires_at_ms: u64,
        /// How long it may be idle, in milliseconds.
        idle_limit_ms: u64,
        /// Its sealed record, in base64url.
        record: String,
        /// The indexes it is in already.
        indexes: Vec<IndexName>,
        /// How long a page of another site has to redeem it, in milliseconds, if it is for one.
        redeem_in_ms: Option<u64>,
    },
    /// Redeem a session that was created for a page of another site. A second redemption ends the session, because one
    /// of the two came from somebody else (RFC 6749 §4.1.2).
    Redeem,
    /// Get whether it is live, and the current generation of the record. Counts as use.
    Status,
    /// Get the same with the record itself, for a reader whose key-value store has not caught up.
    Read,
    /// Get whether it is live, without counting as use.
    Peek,
    /// Acquire the write lease.
    AcquireLease {
        /// The account whose refresh token is to be sent; `None` for any other change.
        account: Option<String>,
        /// The unexpired token of the account that an upstream refused, if that is the reason. With wrong clocks all
        /// tokens of an account may be refused at once, and a refresh renews only one of them.
        refused: Option<String>,
        /// The generation that the caller knows. The answer is the newer record if there is one.
        known_generation: u64,
        /// Drawn by the caller. It repeats the id if it repeats the command because the answer was lost.
        attempt_id: u64,
    },
    /// Release the write lease.
    ReleaseLease {
        /// The fencing token of the lease.
        fencing_token: u64,
        /// The outcome of the work.
        outcome: Outcome,
    },
    /// End the session.
    Revoke,
    /// End the session because the provider ended the grant. Has no effect if another writer got a lease in the
    /// meantime: it may have stored tokens that the provider accepts.
    EndWithLease {
        /// The fencing token of the lease.
        fencing_token: u64,
    },
}

/// Whether a refresh token that was sent, and stays in the record, may be consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumption {
    /// It is not: the provider does not rotate, or the token was not sent.
    #[default]
    None,
    /// It may be: a later refusal by the provider may be the consequence.
    Possible,
    /// It may be, and the use stays counted, so that it is not sent again.
    Counted,
}

/// The outcome of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new record, of the next generation.
    Stored {
        /// Sealed, in base64url.
        record: String,
        /// The indexes that it was added to.
        indexes: Vec<IndexName>,
        /// The accounts whose refresh token was replaced or removed: the uses of the old one no longer matter.
        replaced: Vec<String>,
        /// Whether the lease's refresh token may be consumed, if the record keeps it.
        #[serde(default)]
        consumption: Consumption,
    },
    /// The refresh token was not sent, or the provider's answer does not show that it is consumed.
    NotConsumed {
        /// How long not to send it again, in milliseconds.
        wait_ms: u64,
        /// Whether the provider failed in a way that may have consumed it: a later refusal may be the consequence.
        possibly_consumed: bool,
    },
    /// The refresh token was sent and no answer came: it may be consumed.
    Unanswered {
        /// How long not to send it again, in milliseconds.
        wait_ms: u64,
    },
}
