//! The trait for the store of the users' buffers and, beside them, the checkpoints: the edge or Redis.

use async_trait::async_trait;
use causeway_protocol::{
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::{Outcome, Slice},
    subject::Subject,
};

/// One user's items, for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSlices {
    /// The user.
    pub subject: Subject,
    /// The items, by partition. In the order of arrival within each.
    pub slices: Vec<Slice>,
}

/// Stores items durably, and keeps checkpoints.
///
/// Implementations limit the time of every call. Every call is idempotent and may be repeated.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Shows a user's items to the streams of this process that have received everything before them. Called for each
    /// item in the order of arrival, before it is stored.
    fn push(&self, subject: &Subject, slice: &Slice) {
        let _ = (subject, slice);
    }

    /// Stores items of at most [`causeway_protocol::deliver::MAX_DELIVER_USERS`] users, each at most once. Returns what
    /// became of each, in the same order.
    async fn deliver(&self, users: &[UserSlices]) -> Result<Vec<Outcome>, SinkError>;

    /// Reads, claims or moves a partition's checkpoint.
    async fn checkpoint(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, SinkError>;

    /// Whether a checkpoint that it reported before was lost. All partitions must then be planned again.
    async fn has_lost_checkpoint(&self) -> bool {
        false
    }
}

/// Why a call to a sink failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The sink refuses this request because of its content.
    #[error("the request is refused with status {0}")]
    Refused(u16),
    /// The other side speaks another version of the wire contract. The same request will succeed after an upgrade.
    #[error("the edge speaks version {theirs} of the contract, this bridge {ours}")]
    Version {
        /// The other side's version.
        theirs: u32,
        /// [`causeway_protocol::deliver::WIRE_VERSION`].
        ours: u32,
    },
    /// The checkpoint was lost, and probably the buffers, too.
    #[error("the checkpoint was lost")]
    CheckpointLost,
    /// The sink failed. The same request may succeed later.
    #[error("{message}")]
    Failed {
        /// The value of the metric's label.
        label: &'static str,
        /// What happened.
        message: String,
    },
}

impl SinkError {
    /// The value of the metric's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Version { .. } => "version",
            Self::CheckpointLost => "checkpoint_lost",
            Self::Failed { label, .. } => label,
        }
    }
}
