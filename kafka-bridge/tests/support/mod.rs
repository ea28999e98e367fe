//! What the bridge's tests share: Kafka in memory and a real one, a small edge, a sink in memory, a real Redis, an SSE
//! client, and the real server on a port of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses only a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support fails by panicking"
)]

pub mod edge;
pub mod kafka;
pub mod memory_kafka;
pub mod memory_sink;
pub mod redis;
pub mod sse;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use causeway_protocol::{
    deliver::WIRE_VERSION,
    event::{Accepted, EVENTS_PATH},
    problem::{PROBLEM_JSON, Problem},
    signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed},
};
use kafka_bridge::{
    clock::unix_seconds,
    config::Config,
    kafka::{KafkaClients, KafkaIo, RebuildCounter},
    server::{self, Listeners, ServeError, Tuning},
    span::Spans,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

/// Nothing in these tests takes this long.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

pub fn keys() -> String {
    "k1:T_pPKwcoHOzsAiQ8zdcPHWJZS1upN1LZPOgp3Jem85E".to_owned()
}

/// A running bridge.
pub struct Bridge {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), ServeError>>>,
    /// Its own, so that dropping it ends all of the bridge's tasks.
    runtime: Option<Runtime>,
}

impl Bridge {
    pub async fn start(kafka: Arc<dyn KafkaIo>, edge: &str) -> Self {
        Self::start_with(kafka, edge, &[], Tuning::default()).await
    }

    /// Epochs begin at 0, unless the tuning has another clock.
    pub async fn start_with(kafka: Arc<dyn KafkaIo>, edge: &str, vars: &[(&str, &str)], tuning: Tuning) -> Self {
        Self::traced(kafka, edge, vars, tuning, Spans::default()).await
    }

    /// As [`Bridge::start_with`], with spans.
    pub async fn traced(
        kafka: Arc<dyn KafkaIo>,
        edge: &str,
        vars: &[(&str, &str)],
        tuning: Tuning,
        spans: Spans,
    ) -> Self {
        let tuning = Tuning { clock: tuning.clock.or(Some(|| 0)), ..tuning };
        let keys = keys();
        let base = [("BRIDGE_KEYS", keys.as_str()), ("BRIDGE_EDGE_URL", edge), ("KAFKA_BROKERS", "memory:1")];
        let vars: BTreeMap<_, _> =
            base.iter().chain(vars).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = Config::from_vars(&vars).unwrap();
        let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listeners = Listeners { edge: listen().await, admin: Some(listen().await) };
        let address = listeners.edge.local_addr().unwrap();
        let admin = listeners.admin.as_ref().unwrap().local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        // Fails only if another test installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let [live, replay, search] = [(); 3].map(|()| Arc::clone(&kafka));
        let kafka = KafkaClients { live, replay, search, rebuilds: RebuildCounter::default() };
        let running = runtime.spawn(server::run(config, kafka, listeners, tuning, spans, async move {
            let _ = stopped.await;
        }));
        Self {
            address,
            admin,
            http: reqwest::Client::new(),
            stop: Some(stop),
            running: Some(running),
            runtime: Some(runtime),
        }
    }

    /// Starts a bridge with its buffers in Redis.
    pub async fn on_redis(
        kafka: Arc<dyn KafkaIo>,
        redis: &redis::RedisServer,
        vars: &[(&str, &str)],
        tuning: Tuning,
    ) -> Self {
        let of_redis = redis.vars();
        let all: Vec<_> =
            of_redis.iter().map(|(key, value)| (*key, value.as_str())).chain(vars.iter().copied()).collect();
        Self::start_with(kafka, "", &all, tuning).await
    }

    /// Metrics are served to operators, everything else to the edge.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", if path == "/metrics" { self.admin } else { self.address })
    }

    /// Posts a body, signed as the edge would.
    pub fn post(&self, body: Vec<u8>) -> JoinHandle<Answer> {
        let ring = KeyRing::parse(&keys()).unwrap();
        let signed = Signed { direction: Direction::EdgeToBridge, method: "POST", target: EVENTS_PATH, body: &body };
        let signature = ring.sign(signed, unix_seconds());
        self.post_signed(body, &signature)
    }

    pub fn post_signed(&self, body: Vec<u8>, signature: &str) -> JoinHandle<Answer> {
        let request = self.http.post(self.url(EVENTS_PATH)).header(SIGNATURE_HEADER, signature).body(body);
        tokio::spawn(async move { Answer::read(request.send().await.unwrap()).await })
    }

    pub fn post_text(&self, id: &str, text: &str) -> JoinHandle<Answer> {
        self.post(event(id, text).to_string().into_bytes())
    }

    /// Stops the bridge as SIGTERM does.
    pub fn signal_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the bridge has ended.
    pub async fn ended(mut self) -> Result<(), ServeError> {
        tokio::time::timeout(TEST_TIMEOUT, self.running.take().unwrap()).await.unwrap().unwrap()
    }

    pub async fn stop(mut self) {
        self.signal_stop();
        self.ended().await.unwrap();
    }

    /// Ends the bridge as SIGKILL does: nothing is finished.
    pub fn kill(self) {}
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

pub fn event(id: &str, text: &str) -> Value {
    json!({
        "version": WIRE_VERSION,
        "channel": "chat", "id": id, "type": "message", "source": "https://edge.test", "subject": "github:1",
        "time": "2026-01-02T03:04:05Z", "data": {"text": text},
    })
}

/// The response to `POST /v1/events`.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<u32>,
    pub body: String,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        Self {
            status: response.status().as_u16(),
            content_type: header("content-type").unwrap_or_default(),
            retry_after: header("retry-after").map(|value| value.parse().unwrap()),
            body: response.text().await.unwrap(),
        }
    }

    pub fn accepted(&self) -> Accepted {
        assert_eq!(self.status, 202, "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts that the response is a problem document and returns its code.
    pub fn problem(&self) -> String {
        assert_eq!(self.content_type, PROBLEM_JSON, "{self:?}");
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.kind, format!("urn:causeway:problem:{}", problem.code));
        assert!(!problem.request_id.is_empty());
        problem.code
    }
}

/// Waits for a condition that a task will bring about.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(TEST_TIMEOUT, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}
