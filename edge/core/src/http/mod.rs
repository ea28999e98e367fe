//! HTTP without a runtime.
//!
//! - [`web`]: requests and responses
//! - [`body`]: bodies that are read once and within a limit
//! - [`cookie`]: reading the edge's cookies out of a request, and writing them
//! - [`origin`]: origins, and the addresses that a user may be sent back to
//! - [`address`]: which networks an address belongs to; [`client_address`]: the address of a request's client
//! - [`page`]: the HTML pages that the edge writes itself
//! - `query`: query parameters and form fields
//! - `content_coding`: whether a client accepts a compressed body
//! - `json`: JSON read more strictly than serde's derived readers do
//! - `media_type`: what a content type says

pub mod address;
pub mod body;
pub mod client_address;
pub(crate) mod content_coding;
pub mod cookie;
pub(crate) mod json;
pub(crate) mod media_type;
pub mod origin;
pub mod page;
pub(crate) mod query;
pub mod web;
