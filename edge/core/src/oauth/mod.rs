//! OAuth 2.0 and OpenID Connect as a client: the providers and their endpoints, authorization requests, token requests,
//! and validation of the tokens that identify the user.
//!
//! - [`provider`]: providers as data
//! - [`prompt`]: what a provider must ask the user
//! - [`restriction`]: the scopes or resource that a service's tokens are restricted to
//! - [`client_key`]: a private key of the edge; `ps256`: PS256 signatures with blinding
//! - `fetch_json`: fetches JSON with limits on time and size
//! - [`cache`]: the endpoints, signing keys and nonces that an isolate remembers
//! - [`discovery`]: a provider's endpoints, from its metadata
//! - [`signing_key`]: a provider's signing keys; [`jwks_refresh_lock`]: limits their early refreshes
//! - `document`: gets metadata and signing keys; `document_cache`: an isolate's cache of them; `shared`: the copies that
//!   isolates share
//! - [`token_endpoint`]: requests that the edge sends to a provider as its client
//! - `protocol`: builds these requests and parses their responses with the `oauth2` crate
//! - `assertion`: client assertions, which authenticate a client with a private key
//! - [`dpop`]: tokens bound to a key
//! - [`exchange`]: the authorization request and the code exchange
//! - [`step_up`]: what an upstream demands of the user's next authentication
//! - [`refresh`]: refreshes tokens
//! - [`revocation`]: revokes tokens
//! - [`jws`]: signatures of tokens that a provider issued
//! - [`id_token`]: validates an ID token; [`entra`]: claims that only Entra has
//! - [`logout_token`]: validates a logout token
//! - `claim`: what the claims of ID tokens and logout tokens have in common
//! - [`identity`]: who signed in
//! - [`userinfo`]: user data that the ID token leaves out
//! - [`github_app`]: tokens of a GitHub App's installations; [`installation_cache`]: an isolate's cache of them
//! - [`github_rate`]: recognises GitHub's rate limits
//! - [`webhook`]: GitHub's webhook for a revoked authorization

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
pub mod prompt;
mod protocol;
pub mod provider;
mod ps256;
pub mod refresh;
pub mod restriction;
pub mod revocation;
mod shared;
pub mod signing_key;
pub mod step_up;
pub mod token_endpoint;
pub mod userinfo;
pub mod webhook;
