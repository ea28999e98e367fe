//! One file per target. Its module doc says what it asserts.

pub mod callback;
pub mod checkpoint;
pub mod claims;
pub mod config;
pub mod cookie;
pub mod cursor;
pub mod deliver;
pub mod id_token;
pub mod jwks;
pub mod logout_token;
pub mod path;
pub mod return_to;
pub mod seal;
pub mod webhook;

/// The first line of an input, and the rest.
fn head_and_rest(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..at], data.get(at + 1..).unwrap_or_default())
}

/// The lines of an input.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
}
