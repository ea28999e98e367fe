//! A member of a consumer group. The group decides which partitions this instance delivers; where each is read, the
//! checkpoints say, so nothing is read or committed here.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    client::OAuthToken,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError as ClientError,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use crate::kafka::{Membership, TopicPartition};

/// How long the group waits for a partition that is still delivered. Then the next member takes it over, and what this one
/// still delivers is refused.
const RELEASE_TIME: Duration = Duration::from_secs(10);

/// How often it looks whether it should leave.
const POLL: Duration = Duration::from_millis(200);

/// The context of the member.
struct GroupContext {
    client: Context,
    membership: Arc<Membership>,
    runtime: Handle,
}

impl ClientContext for GroupContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "the consumer group can't be reached");
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.client.generate_oauth_token(config)
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let revoked = partitions(list);
        tracing::info!(partitions = ?revoked, "the consumer group revokes partitions");
        self.membership.revoke(&revoked);
        // What is lost has another owner already.
        if consumer.assignment_lost() {
            return;
        }
        let released = async { tokio::time::timeout(RELEASE_TIME, self.membership.released(&revoked)).await };
        // This is the member's own thread, so it may wait.
        if self.runtime.block_on(released).is_err() {
            tracing::warn!(partitions = ?revoked, "partitions are still delivered, leaving them nevertheless");
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(list) = rebalance else { return };
        if let Err(error) = consumer.pause(list) {
            tracing::warn!(%error, "partitions of the group can't be paused");
        }
        let assigned = partitions(list);
        tracing::info!(partitions = ?assigned, "the consumer group assigns partitions");
        self.membership.assign(assigned);
    }
}

/// Joins the group until stopped, on a thread of its own.
pub(super) fn join(
    config: &ClientConfig,
    context: Context,
    membership: Arc<Membership>,
    topics: Vec<String>,
    stop: CancellationToken,
) -> Result<std::thread::JoinHandle<()>, ClientError> {
    let context = GroupContext { client: context, membership, runtime: Handle::current() };
    let consumer = BaseConsumer::from_config_and_context(config, context)?;
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics)?;
    Ok(std::thread::spawn(move || {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = consumer.poll(POLL) {
                tracing::debug!(%error, "librdkafka");
            }
        }
        // Dropping it leaves the group, which revokes the partitions.
    }))
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}
