//! Signing in with a provider: what the providers are, where their endpoints lie, how a code becomes tokens, and who
//! the tokens say the user is.
//!
//! - [`provider`]: providers as data
//! - [`client_key`]: a private key of the edge itself
//! - [`discovery`]: endpoints, fetched and cached
//! - [`signing_key`]: the keys a provider signs with, fetched and cached
//! - [`transaction`]: the state of one sign-in under way, in a sealed cookie
//! - [`exchange`]: authorization URL and code exchange, by the `oauth2` crate
//! - [`jws`]: signatures of tokens that a provider issued
//! - [`id_token`]: validation of an ID token
//! - [`identity`]: who signed in
//! - [`webhook`]: what GitHub tells unasked

pub mod client_key;
pub mod discovery;
pub mod exchange;
pub mod id_token;
pub mod identity;
pub mod jws;
pub mod provider;
pub mod signing_key;
pub mod transaction;
pub mod webhook;
