//! The traits of `causeway_core::runtime::platform` on a Worker's bindings.

use std::{future::ready, pin::pin, time::Duration};

use causeway_core::{
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
    stream::driver::{self, Chunk},
};
use causeway_protocol::{
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
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::AbortSignal;
use worker::{Delay, Env, kv::KvStore};

use crate::{
    checkpoints,
    client_signal::OnDisconnect,
    convert::{self, NativeBody},
    coordinator,
    hub_connection::UserHub,
    now_ms,
    object::Object,
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

    pub(crate) fn object<'a>(&'a self, dependency: Dependency, binding: &'a str, name: &'a str) -> Object<'a> {
        Object { env: &self.env, dependency, binding, name }
    }

    /// Fires when the client of this request disconnects.
    pub(crate) fn client_disconnect(&self) -> AbortSignal {
        match &self.client {
            Client::Request(request) => request.signal(),
            Client::Signal(signal) => signal.clone(),
        }
    }
}

fn kv_error(error: impl std::fmt::Display) -> Unavailable {
    Unavailable::new(Dependency::KeyValue, error)
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
