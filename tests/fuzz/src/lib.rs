//! Fuzz targets: everything that an attacker can write, and what must hold for any of it.
//!
//! - [`target`]: one file a target; each takes bytes and fails when its property does not hold
//! - [`fixture`]: a whole edge, for the targets that send it requests
//! - [`settings`]: the configuration all of them use
//!
//! `scripts/fuzz` runs them under libFuzzer, guided by coverage; `cargo test -p causeway-fuzz` replays the corpus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target says what is wrong by failing"
)]

pub mod fixture;
pub mod settings;
pub mod target;

use std::sync::OnceLock;

/// A property, tried on one input. Returns whether the edge accepted it: a property that only rejections must
/// satisfy would also hold for an edge that rejects everything.
pub type Target = fn(&[u8]) -> bool;

/// All targets by name; the names are also those of the corpus's folders.
pub const TARGETS: [(&str, Target); 14] = [
    ("callback", target::callback::run),
    ("checkpoint", target::checkpoint::run),
    ("claims", target::claims::run),
    ("config", target::config::run),
    ("cookie", target::cookie::run),
    ("cursor", target::cursor::run),
    ("deliver", target::deliver::run),
    ("id_token", target::id_token::run),
    ("jwks", target::jwks::run),
    ("logout_token", target::logout_token::run),
    ("path", target::path::run),
    ("return_to", target::return_to::run),
    ("seal", target::seal::run),
    ("webhook", target::webhook::run),
];

/// The target that `CAUSEWAY_FUZZ_TARGET` names.
///
/// # Panics
/// There is no target of that name.
#[must_use]
pub fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("CAUSEWAY_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("CAUSEWAY_FUZZ_TARGET={name:?} is no target")).1
    })
}
