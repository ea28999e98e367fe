//! A Durable Object per session: stores the state that `causeway_core::session::coordinator` decides on.

use causeway_core::session::coordinator::{Command, SessionState, apply};
use worker::{Date, DurableObject, Env, Request, Response, Result, ScheduledTime, State, durable_object};

const STATE: &str = "state";

/// The object. Its input gate runs one command at a time.
#[durable_object]
#[derive(Debug)]
pub struct SessionCoordinator {
    state: State,
}

impl DurableObject for SessionCoordinator {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command: Command = serde_json::from_str(&request.text().await?)?;
        let storage = self.state.storage();
        let stored: Option<String> = storage.get(STATE).await?;
        let current: Option<SessionState> = stored.map(|text| serde_json::from_str(&text)).transpose()?;
        let (changed, reply) = apply(current.as_ref(), Date::now().as_millis(), command);
        if let Some(state) = changed {
            storage.put(STATE, serde_json::to_string(&state)?).await?;
            let forget_at_ms = i64::try_from(state.forget_at_ms()).unwrap_or(i64::MAX);
            storage.set_alarm(ScheduledTime::new(js_sys::Date::new(&(forget_at_ms as f64).into()))).await?;
        }
        Response::ok(serde_json::to_string(&reply)?)
    }

    async fn alarm(&self) -> Result<Response> {
        self.state.storage().delete_all().await?;
        Response::empty()
    }
}
