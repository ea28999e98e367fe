//! Signing in with a provider: what the providers are, where their endpoints lie, how a code becomes tokens, and who
//! the tokens say the user is.
//!
//! - [`provider`]: providers as data
//! - [`discovery`]: endpoints and signing keys, fetched and cached
//! - [`transaction`]: the state of one sign-in under way, in a sealed cookie
//! - [`exchange`]: authorization URL and code exchange, by the `oauth2` crate
//! - [`id_token`]: validation of an ID token
//! - [`identity`]: who signed in

pub mod discovery;
pub mod exchange;
pub mod id_token;
pub mod identity;
pub mod provider;
pub mod transaction;
