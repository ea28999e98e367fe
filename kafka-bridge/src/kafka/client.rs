//! Builds the client that the settings choose.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    KafkaClient, KafkaClients, KafkaError, KafkaIo, KafkaSettings, Membership, RebuildCounter, RskafkaIo,
    RskafkaOptions, TlsError, TokenSourceError,
};

/// Why a client can't be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Tokens can't be asked for.
    #[error(transparent)]
    Token(#[from] TokenSourceError),
    /// The consumer group can't be joined.
    #[error("the consumer group can't be joined: {0}")]
    Group(KafkaError),
}

/// Builds the clients. They connect on first use.
///
/// # Errors
/// [`ClientError`] says what is missing.
pub fn clients(settings: &KafkaSettings) -> Result<KafkaClients, ClientError> {
    let rebuilds = RebuildCounter::default();
    let of = |options: RskafkaOptions| client(RskafkaOptions { rebuilds: rebuilds.clone(), ..options });
    Ok(KafkaClients {
        live: of(RskafkaOptions::new(settings.clone()))?,
        replay: of(RskafkaOptions::for_replay(settings.clone()))?,
        search: of(RskafkaOptions::for_replay(settings.clone()))?,
        rebuilds,
    })
}

/// One of them. Only rskafka has other limits for replay.
fn client(options: RskafkaOptions) -> Result<Arc<dyn KafkaIo>, ClientError> {
    match options.settings.client {
        KafkaClient::Rskafka => {
            #[cfg(feature = "rdkafka")]
            let settings = options.settings.clone();
            let rskafka = RskafkaIo::new(options)?;
            #[cfg(feature = "rdkafka")]
            let rskafka = super::second_reader::WithSecondReader::new(rskafka, &settings)?;
            Ok(Arc::new(rskafka))
        }
        #[cfg(feature = "rdkafka")]
        KafkaClient::Rdkafka => Ok(Arc::new(super::RdkafkaIo::new(options.settings)?)),
    }
}

/// Joins the consumer group of the settings, if they name one, and leaves it once `stop` is cancelled and nothing is
/// delivered any more.
///
/// # Errors
/// [`ClientError`] if the settings can't be used.
pub async fn join_group(
    settings: &KafkaSettings,
    topics: Vec<String>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Option<Arc<Membership>>, ClientError> {
    #[cfg(feature = "rdkafka")]
    if let Some(group) = &settings.group {
        let membership = Arc::new(Membership::default());
        super::rdkafka_io::join_group(settings, group, Arc::clone(&membership), topics, tasks, stop).await?;
        return Ok(Some(membership));
    }
    #[cfg(not(feature = "rdkafka"))]
    let _ = (settings, topics, tasks, stop);
    Ok(None)
}
