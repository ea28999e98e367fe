//! The floor of the edge on Spin: what a request costs that reaches a component and does nothing there.
#![cfg(target_family = "wasm")]

use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};

#[http_service]
async fn handle(_: Request) -> impl IntoResponse {
    "ok"
}
