//! Calling a Durable Object: JSON in, JSON out, the operation in the path.

use causeway_core::runtime::{dependency::Dependency, unavailable::Unavailable};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::JsValue;
use worker::{Env, Headers, Method, Request, RequestInit, Response, Stub};

/// The object with a name.
pub(crate) fn stub(env: &Env, dependency: Dependency, binding: &str, name: &str) -> Result<Stub, Unavailable> {
    let namespace = env.durable_object(binding).map_err(|e| Unavailable::new(dependency, e))?;
    namespace.get_by_name(name).map_err(|e| Unavailable::new(dependency, e))
}

/// Calls an operation with a JSON body.
pub(crate) async fn call<T: DeserializeOwned>(
    stub: &Stub,
    dependency: Dependency,
    operation: &str,
    body: &impl Serialize,
) -> Result<T, Unavailable> {
    let body = serde_json::to_string(body).map_err(|e| Unavailable::new(dependency, e))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from_str(&body)));
    let mut response = send(stub, dependency, operation, &init).await?;
    let text = response.text().await.map_err(|e| Unavailable::new(dependency, e))?;
    serde_json::from_str(&text).map_err(|e| Unavailable::new(dependency, e))
}

/// The status of an object's answer if the session ended.
pub(crate) const GONE: u16 = 410;
/// The status of an object's answer if the user has the maximum number of streams.
pub(crate) const FULL: u16 = 429;

/// Calls an operation with headers only, for an answer that is not JSON.
pub(crate) async fn get(
    stub: &Stub,
    dependency: Dependency,
    operation: &str,
    headers: Headers,
) -> Result<Response, Unavailable> {
    let mut init = RequestInit::new();
    init.with_method(Method::Get).with_headers(headers);
    send(stub, dependency, operation, &init).await
}

async fn send(
    stub: &Stub,
    dependency: Dependency,
    operation: &str,
    init: &RequestInit,
) -> Result<Response, Unavailable> {
    // The host is never resolved: the stub knows the object.
    let request = Request::new_with_init(&format!("https://object/{operation}"), init);
    let request = request.map_err(|e| Unavailable::new(dependency, e))?;
    let response = stub.fetch_with_request(request).await.map_err(|e| Unavailable::new(dependency, e))?;
    match response.status_code() {
        200 | 101 | GONE | FULL => Ok(response),
        status => Err(Unavailable::new(dependency, format_args!("answered {status}"))),
    }
}

/// The operation that a request to an object names.
pub(crate) fn operation(request: &Request) -> String {
    request.inner().url().rsplit('/').next().unwrap_or_default().to_owned()
}
