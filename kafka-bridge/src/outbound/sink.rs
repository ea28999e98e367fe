//! The trait for the store of delivered records and, beside them, the checkpoint: the edge or Redis.

use async_trait::async_trait;
use causeway_protocol::deliver::{DeliverRequest, DeliverResponse};

/// Stores the records of one partition durably, and only then moves the checkpoint.
///
/// Implementations limit the time of every call. Every call is idempotent and may be repeated.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Delivers records. A request without deliveries and `advance_to` only reads the checkpoint.
    async fn deliver(&self, request: &DeliverRequest) -> Result<DeliverResponse, SinkError>;

    /// Whether a checkpoint that it reported before was lost. All partitions must then be planned again.
    async fn has_lost_checkpoint(&self) -> bool {
        false
    }
}

/// Why a call to a sink failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The sink rejects this request because of its content.
    #[error("the request is rejected with status {0}")]
    Rejected(u16),
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
            Self::Rejected(_) => "refused",
            Self::CheckpointLost => "forgotten",
            Self::Failed { label, .. } => label,
        }
    }
}
