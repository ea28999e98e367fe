//! `/healthz`: the edge runs. `/readyz`: it can also do its work.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use super::{Context, bridge};
use crate::{
    error::Error,
    guard::REQUEST_ID,
    platform::{Platform, Unavailable},
    web::{Outgoing, Response},
};

pub(super) fn healthz<B>() -> Response<B> {
    Response::json(StatusCode::OK, "application/json", &json!({"status": "ok"}))
}

pub(super) async fn readyz<P: Platform>(context: &Context<'_, P>) -> Result<Response<P::Body>, Error> {
    let url = bridge::url(context, "/readyz")?;
    let response = context
        .platform
        .send(Outgoing::new(Method::GET, url, Duration::from_secs(3)).to("bridge").with(REQUEST_ID, context.request_id))
        .await?;
    if !response.status.is_success() {
        return Err(Unavailable::new("bridge", format_args!("is not ready: {}", response.status)).into());
    }
    Ok(Response::json(StatusCode::OK, "application/json", &json!({"status": "ready"})))
}
