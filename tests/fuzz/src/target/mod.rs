//! One file a target. What each asserts stands at its head.

pub mod callback;
pub mod claims;
pub mod config;
pub mod cookie;
pub mod cursor;
pub mod id_token;
pub mod jwks;
pub mod path;
pub mod return_to;
pub mod seal;

/// Parts of an input that are separated by line ends.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
}
