//! The traits of `causeway_core::runtime::platform` on a component's imports.

use std::{
    future::pending,
    pin::pin,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use causeway_core::{
    edge::current::Deployed,
    http::web::{Body, Incoming, Outgoing},
    runtime::{
        clock::Clock,
        dependency::Dependency,
        expiry::{self, Kept},
        machine::{self, CompareAndSet, Machine},
        platform::{
            CheckpointStore, ClientDisconnect, HttpClient, Insertion, KeyValueStore, Machines, OpenStream, Opened,
            Rate, RateLimiter, StreamHub,
        },
        random::Random,
        rate::Window,
        telemetry::{Line, Log},
        unavailable::Unavailable,
    },
};
use causeway_protocol::{
    buffer::END_REMEMBERED,
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::Outcome,
    hub::EndReason,
    session::SessionHandle,
    stream::{END_CHANNEL, EndStreams, ended_key},
    subject::Subject,
};
use futures_util::future::{Either, LocalBoxFuture, select};
use spin_sdk::{
    key_value::Store,
    redis::{RedisParameter, RedisResult},
    wasip3::{http::client, random::random::get_random_bytes, spawn},
};

use crate::{
    convert::{self, NativeBody},
    redis::{self, text},
    variable::Variables,
};

/// Reads a machine's state and Redis's time, because the isolates' clocks may differ.
const READ: &str = "local t = redis.call('TIME') \
     return {redis.call('GET', KEYS[1]) or '', t[1] * 1000 + math.floor(t[2] / 1000)}";
/// Sets a machine's state if it is still the one that the command was decided on.
const COMPARE_AND_SET: &str = "if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3]) return 1";
/// Increments a counter, which expires a fixed time after its first count. A count need not outlive Redis: kept out of
/// the append-only file, it waits for no disk. Not every server that speaks Redis's protocol has this.
const COUNT: &str = "if redis.set_repl then redis.set_repl(redis.REPL_NONE) end \
     local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end return n";

/// A component's imports, and the variables that say where Redis is.
pub(crate) struct Spin {
    deployed: Rc<Deployed<Variables>>,
}

impl Spin {
    pub(crate) fn new(deployed: Rc<Deployed<Variables>>) -> Self {
        Self { deployed }
    }

    async fn redis(&self, command: &str, parameters: Vec<RedisParameter>) -> Result<Vec<RedisResult>, Unavailable> {
        redis::execute(self.deployed.values.redis_url(), command, parameters).await
    }
}

/// The instance's clock, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Clock for Spin {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(spin_sdk::time::sleep(wait))
    }
}

/// The host reports a disconnect only when an answer is written. Until then a call runs to its timeout: the guest outlives
/// the client.
impl ClientDisconnect for Spin {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(pending())
    }
}

impl Random for Spin {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        let bytes = get_random_bytes(buffer.len() as u64);
        if bytes.len() != buffer.len() {
            return Err(Unavailable::new(Dependency::Randomness, "returned too few bytes"));
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }
}

/// Spin's key-value stores have no expiry, so each value is stored with its own, see [`expiry`]. Deleting an expired value
/// may delete one that another instance has just put: the store holds copies, so that costs a read elsewhere.
impl KeyValueStore for Spin {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        let store = Store::open_default().await.map_err(kv_error)?;
        let Some(stored) = store.get(key).await.map_err(kv_error)? else { return Ok(None) };
        if let Kept::Value(value) = expiry::decode(&stored, self.now_ms()) {
            return Ok(Some(value.to_vec()));
        }
        store.delete(key).await.map_err(kv_error)?;
        Ok(None)
    }

    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), Unavailable> {
        let store = Store::open_default().await.map_err(kv_error)?;
        store.set(key, expiry::encode(value, self.now_ms(), ttl)).await.map_err(kv_error)
    }

    async fn delete(&self, key: &str) -> Result<(), Unavailable> {
        let store = Store::open_default().await.map_err(kv_error)?;
        store.delete(key).await.map_err(kv_error)
    }
}

fn kv_error(error: impl std::fmt::Debug) -> Unavailable {
    Unavailable::new(Dependency::KeyValue, format_args!("{error:?}"))
}

impl HttpClient for Spin {
    type Body = NativeBody;

    async fn send(&self, request: Outgoing<NativeBody>) -> Result<Incoming<NativeBody>, Unavailable> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let failed =
            |detail: &dyn std::fmt::Debug| Unavailable::new(Dependency::Upstream, format_args!("{host}: {detail:?}"));
        let timeout = spin_sdk::time::sleep(request.timeout);
        let (request, writing) = convert::outgoing(request).map_err(|e| failed(&e))?;
        let sending = async {
            let Some(writing) = writing else { return client::send(request).await };
            match select(pin!(client::send(request)), writing).await {
                Either::Right(((), sending)) => sending.await,
                // The answer came before the request's body was read to its end. Writing continues in its own task.
                Either::Left((answer, writing)) => {
                    spawn(writing);
                    answer
                }
            }
        };
        match select(pin!(sending), pin!(timeout)).await {
            Either::Left((response, _)) => response.map(convert::incoming).map_err(|e| failed(&e)),
            Either::Right(_) => Err(failed(&"no answer in time")),
        }
    }

    fn insert(&self, document: NativeBody, insertion: Insertion) -> Result<NativeBody, Unavailable> {
        match document {
            NativeBody::Upstream(document) => Ok(NativeBody::Document(document, insertion)),
            _ => Err(Unavailable::new(Dependency::Upstream, "is no answer")),
        }
    }
}

impl Machines for Spin {
    async fn run<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        machine::run_on::<M>(self, name, command).await
    }
}

impl CompareAndSet for Spin {
    async fn read(&self, key: &str) -> Result<(String, u64), Unavailable> {
        let answer = self.redis("EVAL", vec![text(READ), RedisParameter::Int64(1), text(key)]).await?;
        let broken = || Unavailable::new(Dependency::Coordinator, "sent an unexpected reply");
        let [RedisResult::Binary(value), RedisResult::Int64(now_ms)] = answer.as_slice() else { return Err(broken()) };
        let value = String::from_utf8(value.clone()).map_err(|_| broken())?;
        Ok((value, u64::try_from(*now_ms).map_err(|_| broken())?))
    }

    async fn set_if(&self, key: &str, expected: &str, value: &str, forget_at_ms: u64) -> Result<bool, Unavailable> {
        let forget_at_ms = forget_at_ms.to_string();
        let parameters = [COMPARE_AND_SET, key, expected, value, &forget_at_ms].map(text);
        let [script, rest @ ..] = parameters;
        let parameters = [script, RedisParameter::Int64(1)].into_iter().chain(rest).collect();
        Ok(matches!(self.redis("EVAL", parameters).await?.pop(), Some(RedisResult::Int64(1))))
    }
}

impl StreamHub for Spin {
    const HUB_AT_EDGE: bool = false;

    async fn append(&self, _subject: &Subject, _slices: &str) -> Result<Outcome, Unavailable> {
        Err(not_at_edge())
    }

    async fn open(&self, _request: OpenStream) -> Result<Opened<Body<NativeBody>>, Unavailable> {
        Err(not_at_edge())
    }

    async fn end_session(
        &self,
        subject: &Subject,
        session: &SessionHandle,
        reason: EndReason,
    ) -> Result<(), Unavailable> {
        let end = EndStreams { subject: subject.clone(), session: session.clone(), reason };
        let message = serde_json::to_string(&end).map_err(|e| Unavailable::new(Dependency::Hub, e))?;
        // The key is set first: a bridge that misses the message finds it.
        let seconds = END_REMEMBERED.as_secs().to_string();
        let key = ended_key(session);
        self.redis("SET", vec![text(&key), text(reason.as_str()), text("EX"), text(&seconds)]).await?;
        self.redis("PUBLISH", vec![text(END_CHANNEL), text(&message)]).await?;
        Ok(())
    }
}

impl CheckpointStore for Spin {
    async fn checkpoint(&self, _request: &CheckpointRequest) -> Result<CheckpointResponse, Unavailable> {
        Err(not_at_edge())
    }
}

fn not_at_edge() -> Unavailable {
    Unavailable::new(Dependency::Hub, "not served by the edge on Spin; the bridge has it")
}

impl RateLimiter for Spin {
    async fn allow(&self, rate: Rate, key: &str) -> Result<bool, Unavailable> {
        let window = Window::new(rate, key, self.now_ms());
        let seconds = RedisParameter::Int64(window.expires_in_seconds.into());
        let parameters = vec![text(COUNT), RedisParameter::Int64(1), text(&window.key), seconds];
        match self.redis("EVAL", parameters).await?.pop() {
            Some(RedisResult::Int64(count)) => Ok(window.allows(count)),
            _ => Err(Unavailable::new(Dependency::RateLimiter, "sent an unexpected reply")),
        }
    }
}

impl Log for Spin {
    fn log(&self, line: &Line) {
        eprintln!("{line}");
    }
}
