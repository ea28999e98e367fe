//! `GET /auth/session`: tells a page who is signed in.

use causeway_protocol::subject::Subject;
use http::{StatusCode, header};
use serde::Serialize;

use super::context::Context;
use crate::{
    config::Config,
    http::{cookie::Embed, web::Response},
    oauth::provider::Provider,
    runtime::platform::Platform,
    session::{
        principal::Principal,
        summary::{AccountSummary, Summary},
    },
    token_set::User,
};

/// Describes the session's user and accounts, and the providers that a user can sign in with. Never contains a token.
pub(super) async fn describe<P: Platform>(
    context: &Context<'_, P>,
    principal: Option<&Principal>,
) -> Response<P::Body> {
    let (config, now_ms) = (context.config, context.platform.now_ms());
    let summary = principal.map(|principal| &*principal.summary);
    let body = Description {
        authenticated: principal.is_some(),
        connections: summary.map(|summary| connections(config, summary, now_ms)),
        expires_in: summary.map(|summary| summary.expires_at_ms.saturating_sub(now_ms) / 1000),
        handoff: config.sessions.embed == Embed::CrossSite,
        providers: config.providers.iter().map(|Provider { id, name, .. }| Named { id, name }).collect(),
        user: summary.map(|Summary { user: User { subject, name, email }, .. }| Person {
            email: email.as_deref(),
            id: subject,
            name,
        }),
    };
    let mut response = Response::json(StatusCode::OK, "application/json", &body);
    if let Some(principal) = principal
        && let Some(cookie) = context.sessions().reseal(principal).await
    {
        response.add(header::SET_COOKIE, &cookie);
    }
    response
}

/// The answer.
#[derive(Serialize)]
struct Description<'a> {
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Vec<Connection<'a>>>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    /// Tells a page of another site that it must ask for a hand-off when it begins a sign-in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    handoff: bool,
    providers: Vec<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Person<'a>>,
}

#[derive(Serialize)]
struct Connection<'a> {
    provider: &'a str,
    /// The session's user is that of this account, which can't be disconnected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    own: bool,
    /// The account must be connected again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sign_in_needed: bool,
}

#[derive(Serialize)]
struct Named<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Person<'a> {
    email: Option<&'a str>,
    id: &'a Subject,
    name: &'a str,
}

/// The session's accounts.
fn connections<'a>(config: &Config, summary: &'a Summary, now_ms: u64) -> Vec<Connection<'a>> {
    let describe = |(provider, account): (&'a String, &AccountSummary)| {
        let sign_in_needed = account.is_spent(now_ms) || config.provider_of(provider, &account.issuer).is_none();
        Connection { provider, own: *provider == summary.provider, sign_in_needed }
    };
    summary.accounts.iter().map(describe).collect()
}
