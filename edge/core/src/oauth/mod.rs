//! Signing in with a provider: what the providers are, where their endpoints lie, how a code becomes tokens, and who
//! the tokens say the user is.
//!
//! - [`provider`]: providers as data
//! - [`client_key`]: a private key of the edge itself
//! - [`cache`]: what an isolate knows of providers
//! - [`discovery`]: where a provider's endpoints lie
//! - [`signing_key`]: the keys a provider signs with; [`jwks_refresh_lock`]: one early refresh at a time
//! - `document`: what both have in common; `document_cache`: how they are fetched and kept in memory; `shared`: where
//!   isolates share them
//! - [`token_endpoint`]: requests the edge makes of a provider as its client
//! - [`protocol`]: where `oauth2` builds those requests and reads their answers
//! - [`assertion`]: how a client with a private key proves who it is
//! - [`dpop`]: tokens bound to a key
//! - [`exchange`]: authorization request and code exchange
//! - [`refresh`]: new tokens for old
//! - [`restriction`]: what a service's tokens are restricted to
//! - [`revocation`]: telling a provider that tokens are not needed any more
//! - [`jws`]: signatures of tokens that a provider issued
//! - [`id_token`]: validation of an ID token; [`entra`]: what only Entra's says; `claim`: what is written in several ways
//! - [`logout_token`]: validation of a logout token
//! - [`github_app`]: tokens of a GitHub App's installations
//! - [`installation_cache`]: what an isolate remembers of them; [`github_rate`]: when GitHub has had enough
//! - [`identity`]: who signed in
//! - [`userinfo`]: more of a user than the ID token says
//! - [`webhook`]: what GitHub tells unasked

mod assertion;
pub mod cache;
mod claim;
pub mod client_key;
pub mod discovery;
mod document;
mod document_cache;
pub mod dpop;
pub mod entra;
pub mod exchange;
mod fetch_json;
pub mod github_app;
pub mod github_rate;
pub mod id_token;
pub mod identity;
pub mod installation_cache;
pub mod jwks_refresh_lock;
pub mod jws;
pub mod logout_token;
mod protocol;
pub mod provider;
mod ps256;
pub mod refresh;
pub mod restriction;
pub mod revocation;
mod shared;
pub mod signing_key;
pub mod token_endpoint;
pub mod userinfo;
pub mod webhook;
