//! Calling a Durable Object: JSON in, JSON out, the operation in the path.

use causeway_core::runtime::{dependency::Dependency, unavailable::Unavailable};
use js_sys::{JsString, Promise};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{Env, Request, Response, wasm_bindgen_futures::JsFuture};

use crate::message;

/// An object of a namespace.
pub(crate) struct Object<'a> {
    pub(crate) env: &'a Env,
    /// What errors name.
    pub(crate) dependency: Dependency,
    /// The namespace's binding.
    pub(crate) binding: &'a str,
    pub(crate) name: &'a str,
}

/// The status of an object's answer with a WebSocket.
pub(crate) const SWITCHING: u16 = 101;
/// The status of an object's answer if it can't do what is asked.
pub(crate) const BAD: u16 = 400;
/// The status of an object's answer if the session ended.
pub(crate) const GONE: u16 = 410;
/// The status of an object's answer if the user has the maximum number of streams.
pub(crate) const FULL: u16 = 429;

impl Object<'_> {
    /// Calls an operation with a JSON body, by HTTP.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        operation: &str,
        body: &impl Serialize,
    ) -> Result<T, Unavailable> {
        let body = serde_json::to_string(body).map_err(|e| Unavailable::new(self.dependency, e))?;
        let called = message::call_object(self.env, self.binding, self.name, operation, &body);
        self.answer_of(called).await
    }

    /// Calls a method of a class with JSON.
    pub(crate) async fn call_method<T: DeserializeOwned>(&self, method: &str, json: &str) -> Result<T, Unavailable> {
        self.answer_of(message::call_method(self.env, self.binding, self.name, method, json)).await
    }

    async fn answer_of<T: DeserializeOwned>(&self, called: Result<Promise, JsValue>) -> Result<T, Unavailable> {
        let text = self.answer(called).await?;
        let text = text.dyn_into::<JsString>().map(String::from).map_err(|error| self.failed(&error))?;
        serde_json::from_str(&text).map_err(|e| Unavailable::new(self.dependency, e))
    }

    /// Calls an operation with headers only, for a WebSocket.
    pub(crate) async fn open(&self, operation: &str, headers: &str) -> Result<Response, Unavailable> {
        let opened = self.answer(message::open_object(self.env, self.binding, self.name, operation, headers)).await?;
        let response: web_sys::Response = opened.dyn_into().map_err(|error| self.failed(&error))?;
        match response.status() {
            SWITCHING | GONE | FULL => Ok(response.into()),
            status => Err(Unavailable::new(self.dependency, format_args!("answered {status}"))),
        }
    }

    async fn answer(&self, called: Result<Promise, JsValue>) -> Result<JsValue, Unavailable> {
        JsFuture::from(called.map_err(|error| self.failed(&error))?).await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &JsValue) -> Unavailable {
        Unavailable::new(self.dependency, worker::Error::from(error.clone()))
    }
}

/// The operation that a request to an object names.
pub(crate) fn operation(request: &Request) -> String {
    request.inner().url().rsplit('/').next().unwrap_or_default().to_owned()
}
