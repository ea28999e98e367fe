//! Who may open streams, how many, and what an idle stream costs.

use std::io::BufRead as _;

use super::*;

#[tokio::test]
async fn streams_require_the_edges_signature_and_are_limited() {
    let Some(redis) = RedisServer::start().await else { return };
    let tuning = Tuning { user_streams: 2, ..Tuning::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[("BRIDGE_MAX_STREAMS", "3")], tuning).await;
    let problem = async |response: reqwest::Response| {
        let status = response.status().as_u16();
        let problem: Problem = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, problem.code)
    };
    let get =
        |target: &str, signature: &str| bridge.http.get(bridge.url(target)).header(SIGNATURE_HEADER, signature).send();
    let target = request(&user("a"), None).target();
    let other = request(&user("b"), None).target();
    assert_eq!(problem(get(&target, "").await.unwrap()).await, (401, "unauthorized".to_owned()));
    assert_eq!(problem(get(&target, &sign(&other)).await.unwrap()).await, (401, "unauthorized".to_owned()));
    for bad in ["/v1/stream", "/v1/stream?open=", "/v1/stream?open=e30"] {
        assert_eq!(problem(get(bad, &sign(bad)).await.unwrap()).await, (400, "malformed".to_owned()), "{bad}");
    }

    let full = |status| (status, "too_many_streams".to_owned());
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(Sse::open(&bridge, &request(&user("a"), None)).await);
    }
    assert_eq!(problem(Sse::request(&bridge, &request(&user("a"), None)).await).await, full(429));
    open.push(Sse::open(&bridge, &request(&user("b"), None)).await);
    assert_eq!(problem(Sse::request(&bridge, &request(&user("c"), None)).await).await, full(503));
    // A client that disconnects makes room at once, without a failed write.
    open.clear();
    until_async("there is room", async || metric(&bridge, "causeway_streams 0").await).await;
    Sse::open(&bridge, &request(&user("a"), None)).await;
    bridge.stop().await;
}

#[tokio::test]
async fn streams_are_not_served_without_redis() {
    let edge = support::edge::Edge::start().await;
    let bridge = Bridge::start(kafka(1), &edge.url).await;
    assert_eq!(Sse::request(&bridge, &request(&user("a"), None)).await.status(), 404);
    bridge.stop().await;
}

/// Killed when the test ends, also on failure.
struct Program(std::process::Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The real program with a limit of open files, and the port that it serves.
fn program(ulimit: &str, vars: &[(&str, &str)]) -> (std::process::Command, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("ulimit {ulimit} && exec \"$0\""), env!("CARGO_BIN_EXE_kafka-bridge")]);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.env("BRIDGE_LISTEN", format!("127.0.0.1:{port}")).env("BRIDGE_KEYS", support::keys());
    // There is no Kafka at this address. Streams are served nevertheless.
    command.env("KAFKA_BROKERS", "127.0.0.1:1").envs(vars.iter().copied());
    (command, port)
}

#[test]
fn a_limit_of_open_files_that_is_too_low_for_the_streams_is_told() {
    let (mut command, _) = program("-n 512", &[("BRIDGE_REDIS_URL", "redis://127.0.0.1:1")]);
    let mut program = Program(command.stderr(std::process::Stdio::piped()).spawn().unwrap());
    let mut lines = std::io::BufReader::new(program.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find(|line| line.contains("BRIDGE_MAX_STREAMS")).expect("a warning");
    assert!(told.contains(r#""limit":512"#) && told.contains(r#""needed":21024"#), "{told}");
}

/// Runs the real program, so that its memory use is only its own. It raises the limit of open files by itself.
#[tokio::test]
async fn a_thousand_idle_streams_share_the_connections_to_redis() {
    let Some(redis) = RedisServer::start().await else { return };
    let (mut command, port) = program("-Sn 200", &[("BRIDGE_REDIS_URL", &redis.url()), ("RUST_LOG", "off")]);
    let program = Program(command.spawn().unwrap());
    let base = format!("http://127.0.0.1:{port}");
    // Fails only if another test installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::new();
    let open = async |n: usize| {
        let target = request(&Subject::new("t", &n.to_string()).unwrap(), None).target();
        let response = http.get(format!("{base}{target}")).header(SIGNATURE_HEADER, sign(&target)).send().await;
        let mut response = response.unwrap();
        assert_eq!(response.status(), 200);
        response.chunk().await.unwrap().expect("the first bytes");
        response
    };
    until_async("it serves", async || http.get(format!("{base}/healthz")).send().await.is_ok()).await;
    drop(open(0).await);

    let before = rss_kib(program.0.id());
    let mut streams = Vec::new();
    for n in 0..1000 {
        streams.push(open(n).await);
    }
    let after = rss_kib(program.0.id());
    let clients: String = redis.command(&["CLIENT", "LIST"]).await;
    // One to read and one to listen. The third client is the test's own. (Deliveries have another.)
    assert_eq!(clients.lines().count(), 3, "{clients}");
    println!("memory: {} KiB for 1000 idle streams (RSS {before} KiB before, {after} KiB after)", after - before);
    assert!(after - before < 20 * 1024, "{} KiB", after - before);

    // Only the user who gets a record receives it.
    let buffer = redis.buffer(BufferLimits::default());
    append(&buffer, &Subject::new("t", "500").unwrap(), [slice(0..1)], unix_millis()).await.unwrap();
    let received = tokio::time::timeout(TEST_TIMEOUT, streams[500].chunk()).await.unwrap().unwrap().unwrap();
    assert!(received.starts_with(b"id: v2.chat.1.0.0\n"));
    let silent = tokio::time::timeout(Duration::from_millis(50), streams[501].chunk()).await;
    assert!(silent.is_err());
}
