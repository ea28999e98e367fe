//! Rust types and traits of Spin's interfaces, generated from `wit/spin.wit`.
#![allow(missing_docs, unreachable_pub, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "spin",
    imports: { default: trappable },
    with: {
        "spin:key-value/key-value.store": crate::key_value::Label,
        "spin:redis/redis.connection": crate::redis::Connection,
    },
});

pub(crate) use self::spin::{key_value::key_value, redis::redis, variables::variables};
