//! Which partitions this instance delivers: those of its ordinal, or those that a consumer group assigns to it.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;

use crate::{
    config::PartitionShare,
    kafka::{Hold, Membership, TopicPartition},
};

/// Which partitions this instance delivers.
#[derive(Clone, Debug)]
pub enum Ownership {
    /// Those with `partition % replicas == replica`.
    Static(PartitionShare),
    /// Those that a consumer group assigns.
    Group(Arc<Membership>),
}

/// Tells of changes.
pub(super) struct Changes(Option<watch::Receiver<BTreeSet<TopicPartition>>>);

impl Ownership {
    pub(super) fn owns(&self, topic: &str, partition: i32) -> bool {
        match self {
            Self::Static(share) => share.owns(partition),
            Self::Group(membership) => membership.owns(topic, partition),
        }
    }

    /// Held while a partition is delivered, so that the group does not give it to another instance meanwhile.
    pub(super) fn hold(&self, topic: &str, partition: i32) -> Option<Hold> {
        match self {
            Self::Static(_) => None,
            Self::Group(membership) => Some(membership.hold(topic, partition)),
        }
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(match self {
            Self::Static(_) => None,
            Self::Group(membership) => Some(membership.changes()),
        })
    }
}

impl Changes {
    /// Waits for the next change; for ever if there can be none.
    pub(super) async fn changed(&mut self) {
        let has_changed = match &mut self.0 {
            None => false,
            Some(changes) => changes.changed().await.is_ok(),
        };
        if !has_changed {
            std::future::pending::<()>().await;
        }
    }
}
