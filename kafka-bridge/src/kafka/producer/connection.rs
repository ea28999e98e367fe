//! Connects to a broker, and finds the leader of a partition. Each time from the configured addresses: what was known may
//! be why the last connection failed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rskafka::{
    client::SaslConfig,
    messenger::Messenger,
    protocol::{
        messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse},
        primitives::{Boolean, String_},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::kafka::{ClientError, KafkaError, KafkaSettings, rskafka_error::translate_code, sasl};

/// How long one broker may take to connect and answer, before the next one is asked.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// The largest answer that is read. The largest are metadata.
const MAX_ANSWER_BYTES: usize = 10 * 1024 * 1024;

/// A socket, encrypted or not.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection to one broker that accepts requests.
pub(super) type Connection = Messenger<Box<dyn Socket>>;

/// Makes connections.
pub(super) struct Connector {
    brokers: Vec<Address>,
    tls: Option<TlsConnector>,
    sasl: Option<SaslConfig>,
    /// Which of the brokers is asked first, so that one that hangs does not hold up every attempt.
    next: AtomicUsize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
}

impl Connector {
    pub(super) fn new(settings: &KafkaSettings) -> Result<Self, ClientError> {
        let tls = settings.tls.as_ref().map(|tls| tls.rustls_config().map(|config| Arc::new(config).into()));
        Ok(Self {
            brokers: settings.brokers.iter().filter_map(|broker| Address::parse(broker)).collect(),
            tls: tls.transpose()?,
            sasl: sasl::rskafka_config(settings)?,
            next: AtomicUsize::new(0),
        })
    }

    /// A connection to the leader of a partition.
    pub(super) async fn leader(&self, topic: &str, partition: i32) -> Result<Connection, KafkaError> {
        let mut failure = KafkaError::Unavailable("no broker is known".to_owned());
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for broker in self.brokers.iter().cycle().skip(first % self.brokers.len().max(1)).take(self.brokers.len()) {
            match limited(self.leader_by(broker, topic, partition)).await {
                Ok(found) => return found,
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Asks a broker. The outer error is that of the broker; the inner one what the cluster says.
    async fn leader_by(
        &self,
        broker: &Address,
        topic: &str,
        partition: i32,
    ) -> Result<Result<Connection, KafkaError>, KafkaError> {
        let connection = self.connect(broker).await?;
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: String_(topic.to_owned()) }]),
            allow_auto_topic_creation: Some(Boolean(false)),
        };
        let metadata = connection.request(request).await.map_err(unavailable)?;
        let leader = match leader_of(&metadata, topic, partition) {
            Ok(leader) if leader == *broker => return Ok(Ok(connection)),
            Ok(leader) => leader,
            Err(error) => return Ok(Err(error)),
        };
        Ok(limited(self.connect(&leader)).await)
    }

    async fn connect(&self, broker: &Address) -> Result<Connection, KafkaError> {
        let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await.map_err(unavailable)?;
        // A request is two writes. The second would wait until the first is acknowledged.
        stream.set_nodelay(true).map_err(unavailable)?;
        let socket: Box<dyn Socket> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = rustls::pki_types::ServerName::try_from(broker.host.clone()).map_err(unavailable)?;
                Box::new(tls.connect(name, stream).await.map_err(unavailable)?)
            }
        };
        let mut connection = Messenger::new(socket, MAX_ANSWER_BYTES, "causeway-kafka-bridge".into());
        connection.sync_versions().await.map_err(unavailable)?;
        if let Some(sasl) = &self.sasl {
            connection.do_sasl(sasl.clone()).await.map_err(unavailable)?;
        }
        Ok(connection)
    }
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: port.parse().ok()? })
    }
}

fn leader_of(metadata: &MetadataResponse, topic: &str, partition: i32) -> Result<Address, KafkaError> {
    let none = || KafkaError::Unavailable(format!("partition {partition} of topic {topic} has no leader"));
    let found = metadata.topics.iter().find(|found| found.name.0 == topic).ok_or_else(none)?;
    if let Some(code) = found.error {
        return Err(translate_code(topic, code, None));
    }
    let found = found.partitions.iter().find(|found| found.partition_index.0 == partition);
    let found = found.ok_or_else(|| KafkaError::UnknownTopic(topic.to_owned()))?;
    let broker = metadata.brokers.iter().find(|broker| broker.node_id.0 == found.leader_id.0).ok_or_else(none)?;
    let port = u16::try_from(broker.port.0).map_err(|_| none())?;
    Ok(Address { host: broker.host.0.clone(), port })
}

async fn limited<T>(work: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
    let silent = || KafkaError::Unavailable(format!("a broker did not answer within {CONNECT_TIME:?}"));
    timeout(CONNECT_TIME, work).await.unwrap_or_else(|_| Err(silent()))
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> KafkaError {
    KafkaError::Unavailable(error.to_string())
}
