//! Consumer groups: Kafka decides which partitions an instance delivers.

use std::{collections::BTreeSet, sync::Arc};

use kafka_bridge::kafka::{KafkaClient, KafkaSettings, Membership, join_group};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    contract::new_topic,
    rdkafka,
    support::{kafka::KafkaServer, until},
};

/// An instance of the bridge, as far as the group sees it.
struct Member {
    membership: Arc<Membership>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Member {
    async fn join(settings: &KafkaSettings, topic: &str) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let membership = join_group(settings, vec![topic.to_owned()], &tasks, &stop).await.unwrap().unwrap();
        Self { membership, tasks, stop }
    }

    fn owned(&self, topic: &str) -> BTreeSet<i32> {
        (0..4).filter(|partition| self.membership.owns(topic, *partition)).collect()
    }

    async fn leave(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_changes_hands_when_its_owner_has_released_it() {
    let Some(server) = KafkaServer::shared().await else { return };
    let topic = new_topic(&server, &*rdkafka(server.plaintext()), 4).await;
    let settings =
        KafkaSettings { client: KafkaClient::Rdkafka, group: Some(format!("group-{topic}")), ..server.plaintext() };
    let first = Member::join(&settings, &topic).await;
    until("the first member has all partitions", || first.owned(&topic).len() == 4).await;
    let mut holds: Vec<_> = (0..4).map(|partition| Some(first.membership.hold(&topic, partition))).collect();

    let second = Member::join(&settings, &topic).await;
    until("two are revoked", || first.owned(&topic).len() == 2).await;
    assert_eq!(second.owned(&topic).len(), 0, "they are still delivered by the first");
    let kept = first.owned(&topic);
    for partition in (0..4).filter(|partition| !kept.contains(partition)) {
        holds[usize::try_from(partition).unwrap()] = None;
    }
    until("the second has them", || second.owned(&topic).len() == 2).await;
    assert_eq!(first.owned(&topic), kept, "the others stayed where they were");

    holds.clear();
    first.leave().await;
    until("the second has all", || second.owned(&topic).len() == 4).await;
    second.leave().await;
}
