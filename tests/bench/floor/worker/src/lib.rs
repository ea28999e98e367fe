//! The floor of the edge on Workers: what a request costs that reaches Rust and does nothing there.
#![cfg(target_family = "wasm")]

use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(_: Request, _: Env, _: Context) -> Result<Response> {
    Response::ok("ok")
}
