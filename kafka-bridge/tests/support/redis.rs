//! A real Redis with its own port and data directory, and what is stored there.
//!
//! - [`instance`]: what of a bridge works with Redis, without Kafka and HTTP

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use causeway_protocol::{
    buffer::cases::{Received, received_in},
    channel::Channel,
    cursor::Cursor,
    deliver::{Item, Slice, Source},
    frame::record_frame,
    subject::Subject,
};
use kafka_bridge::{
    outbound::UserSlices,
    redis_store::{Appended, BufferLimits, Lost, Page, ReadPosition, Redis, RedisError, RedisUrl, UserBuffers},
};
use redis::{FromRedisValue, aio::MultiplexedConnection};

use super::TEST_TIMEOUT;

pub mod instance;

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

    /// Redis takes connections and answers nothing, until it is resumed.
    pub fn suspend(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub async fn restart(&mut self, with_data: bool) {
        if !with_data {
            std::fs::remove_dir_all(&self.directory).unwrap();
            std::fs::create_dir_all(&self.directory).unwrap();
        }
        self.child = spawn(self.address, &self.directory).unwrap();
        self.wait_until_up().await;
    }

    /// Starts Redis as one starts whose default user lacks the rights that transactions in the append-only file need.
    /// What they wrote is not there.
    pub async fn restart_without_transactions(&mut self) {
        let file = self.directory.join("appendonlydir/appendonly.aof.1.incr.aof");
        let mut log = std::fs::read(&file).unwrap();
        let [multi, exec] = [&b"*1\r\n$5\r\nMULTI\r\n"[..], b"*1\r\n$4\r\nEXEC\r\n"];
        let find = |log: &[u8], word: &[u8]| log.windows(word.len()).position(|at| at == word);
        while let Some(from) = find(&log, multi) {
            let to = from + find(&log[from..], exec).unwrap() + exec.len();
            log.drain(from..to);
        }
        std::fs::write(&file, log).unwrap();
        self.restart(true).await;
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

pub fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

/// The channel `chat`, read by the first generation.
pub fn source(epoch: u32, partition: i32) -> Source {
    Source { channel: channel("chat"), partition, epoch, generation: 1 }
}

/// A record whose data is JSON.
pub fn item(source: &Source, offset: i64, json: &str) -> Item {
    let cursor = Cursor::of_record(&source.channel, source.partition, source.at(offset));
    Item { offset, frame: record_frame(&cursor, &[json.to_owned()]), ..Item::default() }
}

/// Records whose data are their offsets.
pub fn slice_of(source: &Source, offsets: impl IntoIterator<Item = i64>) -> Slice {
    let items = offsets.into_iter().map(|offset| item(source, offset, &offset.to_string())).collect();
    Slice { source: source.clone(), after: None, items }
}

/// Records of the first partition of `chat`.
pub fn slice(offsets: std::ops::Range<i64>) -> Slice {
    slice_of(&source(1, 0), offsets)
}

/// Records of the first partition of `chat` with these data.
pub fn large_slice(offsets: std::ops::Range<i64>, json: &str) -> Slice {
    let source = source(1, 0);
    Slice { items: offsets.map(|offset| item(&source, offset, json)).collect(), after: None, source }
}

/// The SSE ids of records of the first partition of `chat`.
pub fn ids(epoch: u32, offsets: std::ops::Range<i64>) -> Vec<String> {
    offsets.map(|offset| format!("v2.chat.{epoch}.0.{offset}")).collect()
}

/// Appends a user's records, to a new buffer if there is none. Fails if Redis does.
pub async fn append(
    buffer: &UserBuffers,
    subject: &Subject,
    slices: impl IntoIterator<Item = Slice>,
    now_ms: u64,
) -> Result<Appended, RedisError> {
    let user = UserSlices { subject: subject.clone(), slices: slices.into_iter().collect() };
    buffer.append(&[&user], true, now_ms).await.map(|mut results| results.remove(0))?
}

/// The events of a page.
pub fn received(page: &Page) -> Vec<Received> {
    let frames: String = page.frames.iter().map(|frame| std::str::from_utf8(frame).unwrap()).collect();
    let missing = page.missing.iter().map(|(_, until)| Received::Missing(until.to_string()));
    page.reset.map(Received::Reset).into_iter().chain(missing).chain(received_in(&frames)).collect()
}

/// What a stream receives until there is no more.
pub async fn read_all(
    buffer: &UserBuffers,
    subject: &Subject,
    channels: &[Channel],
    position: &mut ReadPosition,
) -> Vec<Received> {
    let mut all = Vec::new();
    loop {
        let page = buffer.page(subject, channels, position).await.unwrap();
        all.extend(received(&page));
        if !page.more {
            return all;
        }
    }
}

/// What a client is told whose position is lost.
pub fn told(lost: Lost) -> Received {
    match lost {
        Lost::Reset(reason) => Received::Reset(reason),
        Lost::Missing { until, .. } => Received::Missing(until.to_string()),
    }
}

/// What a client with this `Last-Event-ID` receives: what it is told first, if anything, and the SSE ids of the records.
pub async fn receive_all(
    buffer: &UserBuffers,
    subject: &Subject,
    last_event_id: Option<&str>,
    now_ms: u64,
) -> (Option<Received>, Vec<String>) {
    let (mut position, lost) = buffer.open(subject, &[], last_event_id, now_ms).await.unwrap();
    let all = read_all(buffer, subject, &[], &mut position).await.into_iter();
    let id = |received| match received {
        Received::Record(id) => id,
        other => panic!("{other:?}"),
    };
    (lost.map(told), all.map(id).collect())
}
