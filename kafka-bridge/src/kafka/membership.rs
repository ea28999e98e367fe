//! What a consumer group has assigned to this instance, and what the instance still delivers. The group gives a partition
//! to another member only when this one has let go of it.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;

/// A topic and a partition.
pub type TopicPartition = (String, i32);

/// This instance as a member of a consumer group.
#[derive(Debug, Default)]
pub struct Membership {
    assigned: watch::Sender<BTreeSet<TopicPartition>>,
    held: watch::Sender<BTreeSet<TopicPartition>>,
}

/// Held while a partition is delivered.
#[derive(Debug)]
pub struct Hold {
    membership: Arc<Membership>,
    partition: TopicPartition,
}

impl Membership {
    /// The group gave these partitions to this instance.
    pub fn assign(&self, partitions: impl IntoIterator<Item = TopicPartition>) {
        self.assigned.send_modify(|assigned| assigned.extend(partitions));
    }

    /// The group wants these partitions back.
    pub fn revoke(&self, partitions: &[TopicPartition]) {
        self.assigned.send_modify(|assigned| assigned.retain(|partition| !partitions.contains(partition)));
    }

    /// Waits until none of these partitions is delivered here.
    pub async fn released(&self, partitions: &[TopicPartition]) {
        // Fails only if the sender is gone, which is `self`.
        let _ = self.held.subscribe().wait_for(|held| !partitions.iter().any(|one| held.contains(one))).await;
    }

    /// Whether a partition is assigned.
    #[must_use]
    pub fn owns(&self, topic: &str, partition: i32) -> bool {
        self.assigned.borrow().contains(&(topic.to_owned(), partition))
    }

    /// Tells of changes of the assignment.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<BTreeSet<TopicPartition>> {
        self.assigned.subscribe()
    }

    /// Says that a partition is delivered, until it is dropped.
    #[must_use]
    pub fn hold(self: &Arc<Self>, topic: &str, partition: i32) -> Hold {
        let partition = (topic.to_owned(), partition);
        self.held.send_modify(|held| {
            held.insert(partition.clone());
        });
        Hold { membership: Arc::clone(self), partition }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.membership.held.send_modify(|held| {
            held.remove(&self.partition);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_revoked_partition_is_released_when_it_is_no_longer_held() {
        let membership = Arc::new(Membership::default());
        let both = [("t".to_owned(), 0), ("t".to_owned(), 1)];
        membership.assign(both.clone());
        let hold = membership.hold("t", 0);
        membership.revoke(&both);
        assert!(!membership.owns("t", 0));
        assert_eq!(membership.released(&both[1..]).now_or_never(), Some(()));
        assert_eq!(membership.released(&both).now_or_never(), None);
        drop(hold);
        assert_eq!(membership.released(&both).now_or_never(), Some(()));
    }
}
