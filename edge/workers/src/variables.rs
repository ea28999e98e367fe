//! A Worker's variables and secrets.

use causeway_core::{
    config::{KEYS, Source},
    edge::current::Reading,
};
use js_sys::Reflect;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::Env;

use crate::{message, now_ms};

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
