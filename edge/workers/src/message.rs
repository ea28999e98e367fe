//! The functions of `js/message.js` and `js/body.js`, each of which is one crossing between Wasm and JavaScript.

use js_sys::Promise;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::{AbortController, AbortSignal, Headers, ReadableStream, Request, Response};

#[wasm_bindgen(module = "/js/message.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = requestHead)]
    pub(crate) fn request_head(request: &Request) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = sharedHeaders)]
    pub(crate) fn shared_headers(head: &str) -> Result<Headers, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn respond(
        status: u16,
        shared: Option<&Headers>,
        head: &str,
        body: &JsValue,
        is_coded: bool,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = respond)]
    pub(crate) fn respond_bytes(
        status: u16,
        shared: Option<&Headers>,
        head: &str,
        body: &[u8],
        is_coded: bool,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = respond)]
    pub(crate) fn respond_text(
        status: u16,
        shared: Option<&Headers>,
        head: &str,
        body: &str,
        is_coded: bool,
    ) -> Result<Response, JsValue>;

    /// Promises an [`Answer`].
    #[wasm_bindgen(catch)]
    pub(crate) fn send(
        url: &str,
        method: &str,
        head: &str,
        body: &JsValue,
        signal: &AbortSignal,
        keeps_coding: bool,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = send)]
    pub(crate) fn send_bytes(
        url: &str,
        method: &str,
        head: &str,
        body: &[u8],
        signal: &AbortSignal,
        keeps_coding: bool,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = callObject)]
    pub(crate) fn call_object(
        env: &JsValue,
        binding: &str,
        name: &str,
        operation: &str,
        body: &str,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = callMethod)]
    pub(crate) fn call_method(
        env: &JsValue,
        binding: &str,
        name: &str,
        method: &str,
        argument: &str,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = openObject)]
    pub(crate) fn open_object(
        env: &JsValue,
        binding: &str,
        name: &str,
        operation: &str,
        head: &str,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn bindings(env: &JsValue) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen(module = "/js/body.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = readBody)]
    pub(crate) fn read_body(
        body: &JsValue,
        limit_bytes: f64,
        call: &AbortController,
        idle_ms: Option<f64>,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn watched(
        body: &JsValue,
        call: &AbortController,
        idle_ms: f64,
        longest_ms: Option<f64>,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn inserted(
        body: &JsValue,
        element: &str,
        attributes: Vec<String>,
        html: &JsValue,
    ) -> Result<Option<ReadableStream>, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// What [`send`] promises.
    pub(crate) type Answer;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn head(this: &Answer) -> String;

    /// `null`, or what the functions of `js/body.js` take.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn body(this: &Answer) -> JsValue;
}
