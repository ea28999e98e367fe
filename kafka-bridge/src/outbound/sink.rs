//! Where delivered records rest, and the checkpoint beside them: the edge, or Redis.

use async_trait::async_trait;
use causeway_protocol::deliver::{DeliverRequest, DeliverResponse};

/// Takes records of one partition, makes them durable, and only then moves the checkpoint.
///
/// Implementations bound every call in time themselves. Every call is idempotent and may be repeated.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Delivers, or only asks for the checkpoint.
    async fn deliver(&self, request: &DeliverRequest) -> Result<DeliverResponse, SinkError>;

    /// Whether a checkpoint it told of is no longer there: all partitions must then be planned anew.
    async fn has_forgotten(&self) -> bool {
        false
    }
}

/// Why a sink did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It finds fault with this request itself.
    #[error("the request is refused with status {0}")]
    Refused(u16),
    /// It lost the checkpoint, and so probably the buffers too.
    #[error("the checkpoint is gone")]
    Forgotten,
    /// It did not take the request, and may take the same one later.
    #[error("{what}")]
    Failed {
        /// One word for the figures.
        label: &'static str,
        /// What happened.
        what: String,
    },
}

impl SinkError {
    /// One word for the figures.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Forgotten => "forgotten",
            Self::Failed { label, .. } => label,
        }
    }
}
