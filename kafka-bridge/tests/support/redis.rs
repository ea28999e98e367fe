//! A real Redis with its own port and data directory.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use causeway_protocol::{
    cursor::Cursor,
    deliver::Record,
    event::StreamEvent,
    hub::{HubMessage, ResetReason},
    subject::Subject,
};
use kafka_bridge::redis_store::{BufferLimits, Redis, RedisUrl, UserBuffers};
use redis::{FromRedisValue, aio::MultiplexedConnection};
use serde_json::value::RawValue;

use super::TEST_TIMEOUT;

/// If it is `1`, tests that need a redis-server pass where there is none.
const WITHOUT: &str = "CAUSEWAY_TEST_WITHOUT_REDIS";

/// A running redis-server.
pub struct RedisServer {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl RedisServer {
    /// Returns `None`, and prints the reason, if there is no redis-server and [`WITHOUT`] allows that.
    pub async fn start() -> Option<Self> {
        // The port is released at once. The system hands out ports in turn, so nothing else gets it soon.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = std::env::temp_dir().join(format!("causeway-redis-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&directory).unwrap();
        let child = match spawn(address, &directory) {
            Ok(child) => child,
            Err(error) => {
                let reason = format!("redis-server can't be started ({error})");
                assert!(std::env::var(WITHOUT).is_ok_and(|value| value == "1"), "{reason}; {WITHOUT}=1 does without");
                let test = std::thread::current().name().unwrap_or_default().to_owned();
                // Captured output is shown for failed tests only, and this one is about to pass.
                let _ = writeln!(std::io::stderr(), "\nskipped: {test}: {reason}");
                return None;
            }
        };
        let server = Self { child, address, directory };
        server.wait_until_up().await;
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// The variables of a bridge that uses it.
    pub fn vars(&self) -> [(&'static str, String); 2] {
        [("BRIDGE_EDGE_URL", String::new()), ("BRIDGE_REDIS_URL", self.url())]
    }

    pub async fn connect(&self) -> MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connect().await).await.unwrap()
    }

    /// Ends Redis as SIGKILL does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn restart(&mut self, with_data: bool) {
        if !with_data {
            std::fs::remove_dir_all(&self.directory).unwrap();
            std::fs::create_dir_all(&self.directory).unwrap();
        }
        self.child = spawn(self.address, &self.directory).unwrap();
        self.wait_until_up().await;
    }

    /// The users' buffers in it.
    pub fn buffer(&self, limits: BufferLimits) -> Arc<UserBuffers> {
        let redis = Redis::new(&RedisUrl::parse(&self.url()).unwrap()).unwrap();
        Arc::new(UserBuffers::new(Arc::new(redis), limits))
    }

    async fn wait_until_up(&self) {
        let up = async {
            let client = redis::Client::open(self.url()).unwrap();
            loop {
                if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                    && redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, up).await.unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn spawn(address: SocketAddr, directory: &PathBuf) -> std::io::Result<Child> {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--maxclients", "500"])
        .arg("--dir")
        .arg(directory)
        .stdout(Stdio::null())
        .spawn()
}

pub fn user(id: &str) -> Subject {
    Subject::new("t", id).unwrap()
}

/// A record whose data is its offset.
pub fn record(epoch: u32, partition: i32, offset: i64) -> Record {
    record_of(epoch, partition, offset, &offset.to_string())
}

pub fn record_of(epoch: u32, partition: i32, offset: i64, json: &str) -> Record {
    let data = RawValue::from_string(json.to_owned()).unwrap();
    let event =
        StreamEvent { id: offset.to_string(), kind: "message".into(), time: "t".into(), traceparent: None, data };
    Record { cursor: Cursor { epoch, partition, offset }, event }
}

pub fn records(offsets: std::ops::Range<i64>) -> Vec<Record> {
    offsets.map(|offset| record(1, 0, offset)).collect()
}

/// What a client with this `Last-Event-ID` receives: the reset, if any, and the SSE ids of the records.
pub async fn receive_all(
    buffer: &UserBuffers,
    subject: &Subject,
    last_event_id: Option<&str>,
    now_ms: u64,
) -> (Option<ResetReason>, Vec<String>) {
    let (mut position, reset) = buffer.open(subject, last_event_id, now_ms).await.unwrap();
    let mut received = Vec::new();
    loop {
        let page = buffer.page(subject, &mut position).await.unwrap();
        received.extend(page.messages.into_iter().map(|message| match message {
            HubMessage::Record { cursor, .. } => cursor.to_string(),
            other => panic!("{other:?}"),
        }));
        if !page.more {
            return (reset, received);
        }
    }
}
