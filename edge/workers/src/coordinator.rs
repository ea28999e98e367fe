//! A Durable Object per state machine of `causeway_core::runtime::machine`. It stores the state; core decides.

use causeway_core::{coordinator::dispatch, runtime::dependency::Dependency};
use worker::{DurableObject, Env, Request, Response, Result, ScheduledTime, State, durable_object};

use crate::{now_ms, object};

/// The dependency that errors name.
pub(crate) const DEPENDENCY: Dependency = Dependency::Coordinator;
const STATE: &str = "state";

/// The object. Its input gate runs one command at a time.
#[durable_object]
#[derive(Debug)]
pub struct Coordinator {
    state: State,
}

impl DurableObject for Coordinator {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let kind = object::operation(&request);
        let command = request.text().await?;
        let storage = self.state.storage();
        let stored: Option<String> = storage.get(STATE).await?;
        let now_ms = now_ms();
        let (changed, reply) = dispatch(&kind, stored.as_deref(), now_ms, &command)
            .map_err(|error| worker::Error::RustError(error.to_string()))?;
        if let Some(store) = changed {
            storage.put(STATE, store.state).await?;
            let forget_at_ms = i64::try_from(store.forget_at_ms).unwrap_or(i64::MAX);
            storage.set_alarm(ScheduledTime::new(js_sys::Date::new(&(forget_at_ms as f64).into()))).await?;
        }
        Response::ok(reply)
    }

    async fn alarm(&self) -> Result<Response> {
        self.state.storage().delete_all().await?;
        Response::empty()
    }
}
