//! The functions of `js/user_hub.js`, each of which is one crossing between Wasm and JavaScript.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

#[wasm_bindgen(module = "/js/user_hub.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = executeAll)]
    pub(crate) fn execute_all(state: &JsValue, statements: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn execute(state: &JsValue, statement: &str, text: Option<&str>, numbers: &[f64])
    -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn query(
        state: &JsValue,
        statement: &str,
        text: Option<&str>,
        numbers: &[f64],
    ) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = openSockets)]
    pub(crate) fn open_sockets(state: &JsValue) -> Result<Vec<JsValue>, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn accept(state: &JsValue, socket: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(js_name = answerPings)]
    pub(crate) fn answer_pings(state: &JsValue, ping: &str, pong: &str);

    #[wasm_bindgen(js_name = ensureAlarm)]
    pub(crate) fn ensure_alarm(state: &JsValue, at_ms: f64);

    pub(crate) fn attachment(socket: &JsValue) -> Option<String>;

    pub(crate) fn attach(socket: &JsValue, text: &str);

    pub(crate) fn send(socket: &JsValue, text: &str);

    pub(crate) fn close(socket: &JsValue, code: u16, reason: &str);
}
