//! A real Apache Kafka, with its own ports, data and certificates. All tests of a program that run at the same time share it.
//!
//! - [`certificates`]: the authority, and the certificates of broker and client.

use std::{
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kafka_bridge::kafka::{KafkaClient, KafkaIo as _, KafkaSettings, RskafkaIo, RskafkaOptions};
use rskafka::client::partition::UnknownTopicHandling;
use tokio::sync::Mutex;

use self::certificates::Certificates;

pub mod certificates;

/// If it is `1`, tests that need a Kafka pass where there is none.
const WITHOUT: &str = "CAUSEWAY_TEST_WITHOUT_KAFKA";

/// Java starts slowly where several tests share few processors.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The user whose password [`KafkaServer`] knows.
pub const USER: &str = "bridge";
pub const PASSWORD: &str = "hunter2";

static SHARED: Mutex<Weak<KafkaServer>> = Mutex::const_new(Weak::new());
static TOPICS: AtomicU32 = AtomicU32::new(0);

/// A running broker.
pub struct KafkaServer {
    child: Child,
    plaintext: u16,
    ssl: u16,
    sasl_ssl: u16,
    pub certificates: Certificates,
    directory: PathBuf,
}

impl KafkaServer {
    /// Returns `None`, and prints the reason, if Kafka is not installed and [`WITHOUT`] allows that.
    pub async fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        if !kafka_home().join("libs/.complete").exists() {
            let reason = "no Apache Kafka is installed (scripts/setup)";
            assert!(std::env::var(WITHOUT).is_ok_and(|value| value == "1"), "{reason}; {WITHOUT}=1 does without");
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            // Captured output is shown for failed tests only, and this one is about to pass.
            let _ = writeln!(std::io::stderr(), "\nskipped: {test}: {reason}");
            return None;
        }
        let started = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    async fn start() -> Self {
        // Released at once. The system hands out ports in turn, so nothing else gets them soon.
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let [plaintext, ssl, sasl_ssl, controller] = [free(), free(), free(), free()];
        let directory = std::env::temp_dir().join(format!("causeway-kafka-{}-{plaintext}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let certificates = Certificates::make(&directory);
        let properties = directory.join("properties");
        let data = directory.display();
        let brokers = |of: &str| {
            format!("{of}=PLAINTEXT://127.0.0.1:{plaintext},SSL://127.0.0.1:{ssl},SASL_SSL://127.0.0.1:{sasl_ssl}")
        };
        let (listeners, advertised) = (brokers("listeners"), brokers("advertised.listeners"));
        let text = format!(
            "{listeners},CONTROLLER://127.0.0.1:{controller}
{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
ssl.keystore.type=PEM
ssl.keystore.location={data}/broker.store
ssl.truststore.type=PEM
ssl.truststore.location={data}/ca.pem
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\" user_throttled=\"{PASSWORD}\" user_throttled-too=\"{PASSWORD}\";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";
"
        );
        std::fs::write(&properties, text).unwrap();
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let child = Command::new(root().join("scripts/kafka"))
            .args(["run", "--port", &plaintext.to_string(), "--data"])
            .arg(directory.join("data"))
            .arg("--properties")
            .arg(&properties)
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        let server = Self { child, plaintext, ssl, sasl_ssl, certificates, directory };
        server.wait_until_up().await;
        server
    }

    async fn wait_until_up(&self) {
        let kafka = RskafkaIo::new(RskafkaOptions::new(self.plaintext())).unwrap();
        let up = async {
            while kafka.partitions("none").await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let log = self.directory.join("log");
        assert!(tokio::time::timeout(START_TIMEOUT, up).await.is_ok(), "see {}", log.display());
    }

    /// How a client connects without TLS.
    pub fn plaintext(&self) -> KafkaSettings {
        let brokers = vec![format!("127.0.0.1:{}", self.plaintext)];
        KafkaSettings { client: KafkaClient::default(), brokers, tls: None, sasl: None, group: None }
    }

    /// The variables of a client that connects with TLS and the client's certificate, without SASL.
    pub fn ssl_vars(&self) -> Vec<(&'static str, String)> {
        let of = |name| self.certificates.path(name).display().to_string();
        vec![
            ("KAFKA_BROKERS", format!("127.0.0.1:{}", self.ssl)),
            ("KAFKA_SECURITY_PROTOCOL", "SSL".to_owned()),
            ("KAFKA_SSL_CA", of("ca.pem")),
            ("KAFKA_SSL_CERTIFICATE", of("client.pem")),
            ("KAFKA_SSL_KEY", of("client.key")),
        ]
    }

    /// The variables of a client that connects with TLS and a password.
    pub fn sasl_vars(&self, mechanism: &str, user: &str) -> Vec<(&'static str, String)> {
        vec![
            ("KAFKA_BROKERS", format!("127.0.0.1:{}", self.sasl_ssl)),
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL".to_owned()),
            ("KAFKA_SSL_CA", self.certificates.read("ca.pem")),
            ("KAFKA_SASL_MECHANISM", mechanism.to_owned()),
            ("KAFKA_SASL_USERNAME", user.to_owned()),
            ("KAFKA_SASL_PASSWORD", PASSWORD.to_owned()),
        ]
    }

    /// The variables of a client that connects with TLS and access tokens of this endpoint.
    pub fn token_vars(&self, endpoint: &str) -> Vec<(&'static str, String)> {
        vec![
            ("KAFKA_BROKERS", format!("127.0.0.1:{}", self.sasl_ssl)),
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL".to_owned()),
            ("KAFKA_SSL_CA", self.certificates.read("ca.pem")),
            ("KAFKA_SASL_MECHANISM", "OAUTHBEARER".to_owned()),
            ("KAFKA_SASL_TOKEN_URL", endpoint.to_owned()),
            ("KAFKA_SASL_CLIENT_ID", "bridge".to_owned()),
            ("KAFKA_SASL_CLIENT_SECRET", PASSWORD.to_owned()),
            ("KAFKA_SASL_SCOPE", "kafka".to_owned()),
        ]
    }

    /// The name of a topic that no other test uses.
    pub fn topic_name(&self) -> String {
        format!("topic-{}", TOPICS.fetch_add(1, Ordering::Relaxed))
    }

    /// Removes the records before an offset, as retention does.
    pub async fn delete_before(&self, topic: &str, offset: i64) {
        let client = rskafka::client::ClientBuilder::new(self.plaintext().brokers).build().await.unwrap();
        let partition = client.partition_client(topic, 0, UnknownTopicHandling::Error).await.unwrap();
        partition.delete_records(offset, 5000).await.unwrap();
    }

    /// Runs `kafka-configs` with these arguments.
    pub fn configure(&self, arguments: &[&str]) {
        let mut command = Command::new("java");
        command
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
            .arg(kafka_home().join("libs/*"))
            .arg("kafka.admin.ConfigCommand")
            .args(["--bootstrap-server", &format!("127.0.0.1:{}", self.plaintext), "--alter"])
            .args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// As scripts/env has it.
fn kafka_home() -> PathBuf {
    let script = ". scripts/env && printf %s \"$KAFKA_HOME\"";
    let output = Command::new("bash").args(["-c", script]).current_dir(root()).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap())
}
