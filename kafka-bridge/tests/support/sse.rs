//! A client of `GET /v1/stream`, like the edge with a browser behind it.

use causeway_protocol::{
    deliver::WIRE_VERSION,
    session::SessionHandle,
    signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed},
    stream::StreamRequest,
    subject::Subject,
};
use kafka_bridge::clock::unix_seconds;

use sha2::{Digest as _, Sha256};

use super::{Bridge, TEST_TIMEOUT, keys};

/// One frame of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub comment: Option<String>,
    pub retry: bool,
}

/// An open stream.
pub struct Sse {
    pub response: reqwest::Response,
    buffered: Vec<u8>,
}

pub fn request(subject: &Subject, last_event_id: Option<&str>) -> StreamRequest {
    StreamRequest {
        version: WIRE_VERSION,
        channels: Vec::new(),
        subject: subject.clone(),
        session: session("session"),
        last_event_id: last_event_id.map(str::to_owned),
        session_ends_in_ms: 3_600_000,
        jitter: 0.5,
    }
}

/// The handle of a session, by a name that the test chooses.
pub fn session(name: &str) -> SessionHandle {
    SessionHandle::from_digest(&Sha256::digest(name).into())
}

pub fn sign(target: &str) -> String {
    let signed = Signed { direction: Direction::EdgeToBridge, method: "GET", target, body: &[] };
    KeyRing::parse(&keys()).unwrap().sign(signed, unix_seconds())
}

impl Sse {
    pub async fn request(bridge: &Bridge, request: &StreamRequest) -> reqwest::Response {
        let target = request.target();
        let signature = sign(&target);
        bridge.http.get(bridge.url(&target)).header(SIGNATURE_HEADER, signature).send().await.unwrap()
    }

    pub async fn open(bridge: &Bridge, request: &StreamRequest) -> Self {
        let response = Self::request(bridge, request).await;
        assert_eq!(response.status(), 200);
        Self { response, buffered: Vec::new() }
    }

    /// The next frame, or `None` at the end of the stream.
    pub async fn frame(&mut self) -> Option<Frame> {
        tokio::time::timeout(TEST_TIMEOUT, self.read()).await.expect("no frame in time")
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffered) {
                return Some(frame);
            }
            self.buffered.extend_from_slice(&self.response.chunk().await.unwrap()?);
        }
    }

    /// The next frame that is an event, and no keep-alive.
    pub async fn event(&mut self) -> Option<Frame> {
        let event = async {
            loop {
                let frame = self.read().await?;
                if frame.data.is_some() && frame.event.as_deref() != Some("ping") {
                    return Some(frame);
                }
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, event).await.expect("no event in time")
    }

    /// The SSE ids of the next events. Fails on anything but a record.
    pub async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let frame = self.event().await.expect("the stream ended");
            assert_eq!(frame.event, None, "{frame:?}");
            ids.push(frame.id.unwrap());
        }
        ids
    }

    /// The reason in the next event, which must be of this type.
    pub async fn reason(&mut self, event: &str) -> String {
        let frame = self.event().await.unwrap();
        assert_eq!(frame.event.as_deref(), Some(event), "{frame:?}");
        let data: serde_json::Value = serde_json::from_str(&frame.data.unwrap()).unwrap();
        data["reason"].as_str().unwrap().to_owned()
    }
}

/// The first complete frame of what was received.
pub fn take_frame(buffered: &mut Vec<u8>) -> Option<Frame> {
    let end = buffered.windows(2).position(|pair| pair == b"\n\n")?;
    let frame = buffered.drain(..end + 2).collect();
    Some(parse(&String::from_utf8(frame).unwrap()))
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("", comment)) => frame.comment = Some(comment.trim().to_owned()),
            Some(("id", id)) => frame.id = Some(id.trim().to_owned()),
            Some(("event", event)) => frame.event = Some(event.trim().to_owned()),
            Some(("data", data)) => frame.data = Some(data.trim().to_owned()),
            Some(("retry", _)) => frame.retry = true,
            None if line == "id" => frame.id = Some(String::new()),
            other => assert!(other.is_none() && line.is_empty(), "{line:?}"),
        }
    }
    frame
}
