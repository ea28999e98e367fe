//! Starts the processes that a test needs, each on its own port and in its own folder. They end with the test.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::mpsc,
};

/// The time limit for anything that a test waits for.
const TIME_LIMIT: Duration = Duration::from_secs(30);

pub(crate) type Body = BoxBody<Bytes, std::convert::Infallible>;

/// Waits for `work`, within the time limit.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIME_LIMIT, work).await.expect("took too long")
}

/// The built component.
fn fixture() -> &'static Path {
    static COMPONENT: OnceLock<PathBuf> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        let host = Path::new(env!("CARGO_BIN_EXE_causeway-spin-host"));
        let target = host.ancestors().nth(2).unwrap();
        let built = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "causeway-spin-fixture"])
            .args(["--target", "wasm32-wasip2", "--profile", "wasm", "--target-dir"])
            .arg(target)
            .status();
        assert!(built.unwrap().success(), "the fixture does not build; is the target wasm32-wasip2 installed?");
        target.join("wasm32-wasip2/wasm/causeway_spin_fixture.wasm")
    })
}

/// An empty folder, removed on drop.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A running host.
pub(crate) struct Host {
    process: Child,
    _folder: Arc<TempDir>,
    origin: String,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Body>,
}

impl Host {
    /// Starts a host with the fixture, which may connect to `allowed`.
    pub(crate) async fn start(allowed: &[&str], arguments: &[&str]) -> Self {
        Self::start_in(&Arc::new(folder()), allowed, arguments).await
    }

    /// Does the same with a given folder for the manifest and the state.
    pub(crate) async fn start_in(folder: &Arc<TempDir>, allowed: &[&str], arguments: &[&str]) -> Self {
        let manifest = format!(
            r#"
            spin_manifest_version = 2
            [application]
            name = "fixture"
            [variables]
            greeting = {{ default = "hello" }}
            name = {{ required = true }}
            secret = {{ required = true, secret = true }}
            [[trigger.http]]
            route = "/..."
            component = "fixture"
            [component.fixture]
            source = {source:?}
            allowed_outbound_hosts = {allowed:?}
            key_value_stores = ["default"]
            [component.fixture.variables]
            welcome = "{{{{ greeting }}}}, {{{{ name }}}}"
            secret = "{{{{ secret }}}}"
            "#,
            source = fixture(),
        );
        std::fs::write(folder.path().join("spin.toml"), manifest).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_causeway-spin-host"))
            .args(["--listen", "127.0.0.1:0", "--from"])
            .arg(folder.path().join("spin.toml"))
            .args(arguments)
            .env("SPIN_VARIABLE_NAME", "world")
            .env_remove("SPIN_VARIABLE_SECRET")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = soon(lines.next_line()).await.unwrap().expect("the host ended before it was ready");
        let origin = ready.strip_prefix("ready ").expect("the first line says where it listens").to_owned();
        Self {
            process,
            _folder: Arc::clone(folder),
            origin,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Kills the host and waits until it has ended, and with that released the state folder.
    pub(crate) async fn kill(mut self) {
        soon(self.process.kill()).await.unwrap();
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) async fn send(&self, path: &str, body: Body) -> Response<Incoming> {
        let request = Request::post(format!("{}{path}", self.origin)).body(body).unwrap();
        soon(self.client.request(request)).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        let request = Request::get(format!("{}{path}", self.origin)).body(Full::default().boxed()).unwrap();
        soon(self.client.request(request)).await.unwrap()
    }

    /// Requests `path` and returns the status and the whole body.
    pub(crate) async fn text(&self, path: &str) -> (u16, String) {
        let response = self.get(path).await;
        let status = response.status().as_u16();
        let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// The next piece of a body; `None` at its regular end.
pub(crate) async fn piece(response: &mut Response<Incoming>) -> Option<Bytes> {
    soon(response.body_mut().frame()).await.map(|frame| frame.unwrap().into_data().unwrap())
}

/// A server with the paths `/ok`, `/moved`, `/silent`, and `/stream`, whose pieces the test sends.
pub(crate) struct Upstream {
    pub(crate) origin: String,
    pub(crate) pieces: mpsc::Sender<&'static str>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (pieces, mut receiver) = mpsc::channel(8);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                answer(stream, &mut receiver).await;
            }
        });
        Self { origin, pieces }
    }
}

/// Serves one request on the connection. Connections are served one after another.
async fn answer(mut stream: TcpStream, pieces: &mut mpsc::Receiver<&'static str>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let answer = match head.split_whitespace().nth(1).unwrap() {
        "/ok" => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "/moved" => "HTTP/1.1 302 Found\r\nlocation: /ok\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "/silent" => {
            // Until the client gives up.
            let _ = stream.read_u8().await;
            return;
        }
        _ => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-own: upstream\r\n\r\n",
    };
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    if !answer.contains("chunked") {
        return;
    }
    while let Some(piece) = pieces.recv().await {
        if stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.is_err() {
            return;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n").await;
}

/// A Redis server for one test.
pub(crate) struct Redis {
    _process: Child,
    pub(crate) address: String,
}

impl Redis {
    /// Starts it. Returns `None`, with the reason on stderr, if no Redis is installed.
    pub(crate) async fn start() -> Option<Self> {
        // Free now, and unlikely to be taken before Redis listens.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let spawned = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = match spawned {
            Ok(process) => process,
            Err(error) => {
                eprintln!("SKIPPED what needs Redis: redis-server does not start: {error}");
                return None;
            }
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while let Some(line) = soon(lines.next_line()).await.unwrap() {
            if line.contains("Ready to accept connections") {
                return Some(Self { _process: process, address: format!("redis://127.0.0.1:{port}") });
            }
        }
        panic!("redis-server ended before it was ready");
    }
}
