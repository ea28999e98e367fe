//! The traits of `causeway_core::runtime::platform` on a Worker's bindings.

use std::{future::ready, pin::pin, time::Duration};

use causeway_core::{
    config::{KEYS, Source},
    edge::current::Reading,
    http::web::{Body, Incoming, Outgoing},
    runtime::{
        clock::Clock,
        dependency::Dependency,
        expiry::workers_kv_seconds,
        machine::Machine,
        platform::{
            CheckpointStore, ClientDisconnect, HttpClient, Insertion, KeyValueStore, Machines, OpenStream, Opened,
            Rate, RateLimiter, StreamHub,
        },
        random::Random,
        telemetry::{Line, Log},
        unavailable::Unavailable,
    },
    stream::driver::{
        self, Chunk,
        socket::{HubConnector, HubSocket},
    },
};
use causeway_protocol::{
    channel::Channel,
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::Outcome,
    history::{HistoryPage, HistoryRequest},
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
};
use futures_channel::oneshot;
use futures_util::{
    StreamExt as _,
    future::{Either, LocalBoxFuture, select},
};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::AbortSignal;
use worker::{Delay, Env, WebSocket, WebsocketEvent, kv::KvStore};

use crate::{
    checkpoints,
    convert::{self, NativeBody},
    coordinator, message, now_ms,
    object::{self, Object},
    started::Started,
    user_hub,
};

/// A Worker's bindings.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    env: Env,
    client: Client,
}

/// Tells when the client of a request disconnects. Needs the flag `enable_request_signal`.
#[derive(Debug, Clone)]
enum Client {
    /// Has the signal, which few requests need.
    Request(web_sys::Request),
    /// Without the request, which need not stay as long as its answer's stream.
    Signal(AbortSignal),
}

impl Workers {
    pub(crate) fn new(env: Env, request: web_sys::Request) -> Self {
        Self { env, client: Client::Request(request) }
    }

    fn kv(&self) -> Result<KvStore, Unavailable> {
        self.env.kv("SESSIONS").map_err(kv_error)
    }

    fn object<'a>(&'a self, dependency: Dependency, binding: &'a str, name: &'a str) -> Object<'a> {
        Object { env: &self.env, dependency, binding, name }
    }

    /// Fires when the client of this request disconnects.
    fn client_disconnect(&self) -> AbortSignal {
        match &self.client {
            Client::Request(request) => request.signal(),
            Client::Signal(signal) => signal.clone(),
        }
    }
}

fn kv_error(error: impl std::fmt::Display) -> Unavailable {
    Unavailable::new(Dependency::KeyValue, error)
}

/// Variables and secrets, which a Worker cannot tell apart: they are the strings among its bindings.
pub(crate) struct Variables<'a>(pub(crate) &'a Env);

/// What a Worker's bindings are: an object of JavaScript that stays the same one until a name or a variable changes. So
/// comparing them copies no string into Wasm.
#[derive(PartialEq)]
pub(crate) struct Bindings(JsValue);

impl Variables<'_> {
    /// Reads the values, and not only the identity of `env`: no document says that a change brings a new object.
    pub(crate) fn read(&self) -> Reading<Bindings> {
        let bindings = message::bindings(self.0);
        Reading { is_complete: bindings.is_ok(), values: Bindings(bindings.unwrap_or_default()), read_at_ms: now_ms() }
    }
}

impl Source for Variables<'_> {
    fn get(&self, key: &str) -> Option<String> {
        self.0.var(key).ok().map(|value| value.to_string())
    }

    fn names(&self) -> Vec<String> {
        // Every other value is a binding to a store, an object or a rate limiter.
        let is_plain = |value: JsValue| {
            value.is_string() || value.as_f64().is_some() || value.as_bool().is_some() || value.is_array()
        };
        let is_variable = |name: &JsValue| Reflect::get(self.0, name).is_ok_and(is_plain);
        let names = js_sys::Object::keys(self.0.unchecked_ref::<js_sys::Object>());
        names.iter().filter(is_variable).filter_map(|name| name.as_string()).collect()
    }

    /// A number, a list or a table in `[vars]` is not a string. The key is set nevertheless, so no default may replace it.
    fn unreadable(&self) -> Vec<&'static str> {
        let is_text = |value: &JsValue| value.is_string() || value.is_undefined() || value.is_null();
        KEYS.into_iter()
            .filter(|key| Reflect::get(self.0, &JsValue::from_str(key)).is_ok_and(|value| !is_text(&value)))
            .collect()
    }

    fn has_rate_limiter(&self, name: &str) -> bool {
        self.0.rate_limiter(name).is_ok()
    }
}

impl Clock for Workers {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        // Whoever polls it may change, as it does when a stream keeps a timer from one read to the next.
        match Started::new(Delay::from(wait)) {
            Some(waiting) => Box::pin(waiting),
            None => Box::pin(ready(())),
        }
    }
}

impl ClientDisconnect for Workers {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        let signal = self.client_disconnect();
        Box::pin(async move {
            if signal.aborted() {
                return;
            }
            let (sender, disconnected) = oneshot::channel::<()>();
            let mut sender = Some(sender);
            // Dropping the sender completes the receiver.
            let _listening = OnDisconnect::new(&signal, move || drop(sender.take()));
            let _ = disconnected.await;
        })
    }
}

impl Random for Workers {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        getrandom::getrandom(buffer).map_err(|e| Unavailable::new(Dependency::Randomness, e))
    }
}

impl KeyValueStore for Workers {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        self.kv()?.get(key).bytes().await.map_err(kv_error)
    }

    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), Unavailable> {
        let put = self.kv()?.put_bytes(key, value).map_err(kv_error)?;
        put.expiration_ttl(workers_kv_seconds(ttl)).execute().await.map_err(kv_error)
    }

    async fn delete(&self, key: &str) -> Result<(), Unavailable> {
        self.kv()?.delete(key).await.map_err(kv_error)
    }
}

impl HttpClient for Workers {
    type Body = NativeBody;

    async fn send(&self, request: Outgoing<NativeBody>) -> Result<Incoming<NativeBody>, Unavailable> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let failed =
            |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::Upstream, format_args!("{host}: {detail}"));
        let timeout = Delay::from(request.timeout);
        match select(pin!(convert::send(request)), timeout).await {
            Either::Left((response, _)) => response.map_err(|e| failed(&e)),
            Either::Right(_) => Err(failed(&"no answer in time")),
        }
    }

    fn insert(&self, document: NativeBody, insertion: Insertion) -> Result<NativeBody, Unavailable> {
        convert::inserted(document, insertion).map_err(|e| Unavailable::new(Dependency::Upstream, e))
    }
}

impl Machines for Workers {
    async fn run<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        let name = format!("{}:{name}", M::KIND);
        self.object(coordinator::DEPENDENCY, "COORDINATOR", &name).call(M::KIND, &command).await
    }
}

impl StreamHub for Workers {
    const HUB_AT_EDGE: bool = true;

    async fn append(&self, subject: &Subject, slices: &str) -> Result<Outcome, Unavailable> {
        self.object(user_hub::DEPENDENCY, "USER_HUB", &subject.to_string()).call_method(user_hub::APPEND, slices).await
    }

    async fn history(&self, subject: &Subject, request: &HistoryRequest) -> Result<Option<HistoryPage>, Unavailable> {
        let request = serde_json::to_string(request).map_err(|e| Unavailable::new(user_hub::DEPENDENCY, e))?;
        let subject = subject.to_string();
        self.object(user_hub::DEPENDENCY, "USER_HUB", &subject).call_method(user_hub::HISTORY, &request).await
    }

    async fn open(&self, request: OpenStream) -> Result<Opened<Body<NativeBody>>, Unavailable> {
        // The stream outlives the request, which it must not keep.
        let workers = Self { env: self.env.clone(), client: Client::Signal(self.client_disconnect()) };
        let hub = UserHub::new(workers.clone(), &request);
        let opened = driver::open(workers, hub, &request).await?;
        Ok(opened.map(|chunks| {
            let bytes = |chunk: Chunk| Ok::<_, JsValue>(JsValue::from(Uint8Array::from(chunk.as_ref())));
            let stream = wasm_streams::ReadableStream::from_stream(chunks.map(bytes)).into_raw();
            Body::Native(NativeBody::new(Some(stream.unchecked_into())))
        }))
    }

    async fn end_session(
        &self,
        subject: &Subject,
        session: &SessionHandle,
        reason: EndReason,
    ) -> Result<(), Unavailable> {
        let end = user_hub::End { session: session.clone(), reason };
        let end = serde_json::to_string(&end).map_err(|e| Unavailable::new(user_hub::DEPENDENCY, e))?;
        self.object(user_hub::DEPENDENCY, "USER_HUB", &subject.to_string()).call_method(user_hub::END, &end).await
    }
}

impl CheckpointStore for Workers {
    async fn checkpoint(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, Unavailable> {
        let name = checkpoints::object_name(request);
        self.object(checkpoints::DEPENDENCY, "CHECKPOINTS", &name).call(checkpoints::RESPOND, request).await
    }
}

impl RateLimiter for Workers {
    async fn allow(&self, rate: Rate, key: &str) -> Result<bool, Unavailable> {
        const DEPENDENCY: Dependency = Dependency::RateLimiter;
        let limiter = self.env.rate_limiter(&rate.limiter()).map_err(|e| Unavailable::new(DEPENDENCY, e))?;
        let outcome = limiter.limit(key.to_owned()).await.map_err(|e| Unavailable::new(DEPENDENCY, e))?;
        Ok(outcome.success)
    }
}

impl Log for Workers {
    fn log(&self, line: &Line) {
        worker::console_log!("{line}");
    }
}

/// Closes the socket when the stream that owns it is dropped. So a client that disconnects no longer counts at the hub.
struct CloseOnDrop(WebSocket);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        // Fails if it is closed already.
        let _ = self.0.close(Some(1000), Some("stream closed"));
    }
}

/// Runs a callback when the client disconnects, until this is dropped.
struct OnDisconnect {
    signal: AbortSignal,
    listener: Closure<dyn FnMut()>,
}

impl OnDisconnect {
    fn new(signal: &AbortSignal, act: impl FnMut() + 'static) -> Self {
        let listener = Closure::new(act);
        // Fails only for an invalid signal. Then the next write notices.
        let _ = signal.add_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
        Self { signal: signal.clone(), listener }
    }
}

impl Drop for OnDisconnect {
    fn drop(&mut self) {
        // The signal must not call a dropped closure.
        let _ = self.signal.remove_event_listener_with_callback("abort", self.listener.as_ref().unchecked_ref());
    }
}

/// Opens sockets to a user's hub.
struct UserHub {
    workers: Workers,
    subject: String,
    /// The headers of [`user_hub::OPEN`] that are the same each time.
    headers: String,
}

impl UserHub {
    fn new(workers: Workers, request: &OpenStream) -> Self {
        let mut headers = format!("{}\n{}", user_hub::SESSION_HEADER, request.session.as_str());
        if !request.channels.is_empty() {
            let channels: Vec<_> = request.channels.iter().map(Channel::as_str).collect();
            headers.extend(["\n", user_hub::CHANNELS_HEADER, "\n", &channels.join(",")]);
        }
        Self { workers, subject: request.subject.to_string(), headers }
    }
}

impl HubConnector for UserHub {
    async fn open(&self, last_event_id: Option<&str>) -> Result<Opened<HubSocket>, Unavailable> {
        let mut headers = self.headers.clone();
        // An id with a line break is none that the edge gave.
        if let Some(id) = last_event_id.filter(|id| !id.contains('\n')) {
            headers.extend(["\n", user_hub::LAST_EVENT_ID_HEADER, "\n", id]);
        }
        let object = self.workers.object(user_hub::DEPENDENCY, "USER_HUB", &self.subject);
        let response = object.open(user_hub::OPEN, &headers).await?;
        match response.status_code() {
            object::GONE => return Ok(Opened::SessionEnded),
            object::FULL => return Ok(Opened::TooManyStreams),
            _ => {}
        }
        let socket = response.websocket().ok_or_else(|| Unavailable::new(user_hub::DEPENDENCY, "opened no socket"))?;
        Ok(Opened::Stream(hub_socket(socket, &self.workers.client_disconnect())))
    }
}

fn hub_socket(socket: WebSocket, client_disconnect: &AbortSignal) -> HubSocket {
    let to_hub = socket.clone();
    let closing = socket.clone();
    // Without it, only a failed keep-alive reveals that the client has disconnected; behind a buffering proxy, the second.
    let on_disconnect =
        OnDisconnect::new(client_disconnect, move || drop(closing.close(Some(1000), Some("client left"))));
    let messages = async_stream::stream! {
        let _on_disconnect = on_disconnect;
        let socket = CloseOnDrop(socket);
        // No message is dispatched before `accept`, so none is missed before `events` listens.
        let Ok(mut events) = socket.0.events() else { return };
        if socket.0.accept().is_err() {
            return;
        }
        while let Some(Ok(WebsocketEvent::Message(message))) = events.next().await {
            if let Some(text) = message.text() {
                yield text;
            }
        }
    };
    HubSocket {
        messages: Box::pin(messages),
        // A closed hub is noticed when its messages end.
        send: Box::new(move |text| drop(to_hub.send_with_str(text))),
    }
}
