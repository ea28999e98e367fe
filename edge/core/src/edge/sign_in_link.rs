//! The links of an error page by which its reader signs in: a page is a dead end otherwise, because no script of it can.

use http::{HeaderMap, header};
use url::form_urlencoded::Serializer;

use crate::{
    config::Config,
    error::Error,
    http::{
        origin::ReturnTo,
        page::Link,
        query::Query,
        web::{Request, single},
    },
    oauth::provider::Provider,
    route::{Csrf, Row},
};

/// Where the reader of a request's error page returns to after signing in: what a sign-in was asked to return to, or the page
/// that linked here, as far as its policy says which. Not the request's own address: a browser that comes from a provider is
/// refused there.
pub(super) fn return_to<B>(config: &Config, row: Option<&Row>, request: &Request<B>) -> ReturnTo {
    let text = match row.map(|row| row.csrf) {
        Some(Csrf::Navigation) => Query::parse(request.query.as_deref()).one("return_to").ok().flatten(),
        _ => referrer(&request.headers),
    };
    text.map_or_else(ReturnTo::home, |text| ReturnTo::parse(&text, &config.public_origin, &config.host_origins))
}

fn referrer(headers: &HeaderMap) -> Option<String> {
    single(headers, &header::REFERER).map(str::to_owned)
}

/// The links that help with an error. They lead to the edge's own sign-in, which checks who began it like any other.
pub(super) fn sign_in_links(config: &Config, return_to: &ReturnTo, error: &Error) -> Vec<Link> {
    let link = |provider: &Provider, parameter: Option<(&str, &str)>| {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(parameter).append_pair("return_to", return_to.as_str());
        Link {
            text: format!("Sign in with {}", provider.name),
            address: format!("/auth/{}/login?{}", provider.id, query.finish()),
        }
    };
    let one = |id: &str, name, value| {
        config.provider(id).map(|provider| link(provider, Some((name, value)))).into_iter().collect()
    };
    match error {
        Error::Unauthenticated { .. } => config.providers.iter().map(|provider| link(provider, None)).collect(),
        Error::ProviderSignInNeeded { provider } => one(provider, "connect", "1"),
        Error::StepUpNeeded { provider, step_up } => one(provider, "step_up", step_up),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{runtime::reason::Reason, testing::settings::config_with};

    fn addresses(error: &Error, return_to: &str) -> Vec<String> {
        let config = config_with(json!({}));
        let return_to = ReturnTo::parse(return_to, &config.public_origin, &config.host_origins);
        sign_in_links(&config, &return_to, error).into_iter().map(|link| link.address).collect()
    }

    #[test]
    fn errors_that_a_sign_in_helps_with_link_to_it() {
        let entra = || "entra".to_owned();
        let host = "https://host.edge.example/page?a=1&b";
        let escaped = "https%3A%2F%2Fhost.edge.example%2Fpage%3Fa%3D1%26b";
        assert_eq!(
            addresses(&Error::ProviderSignInNeeded { provider: entra() }, host),
            [format!("/auth/entra/login?connect=1&return_to={escaped}")]
        );
        let demand = Error::StepUpNeeded { provider: entra(), step_up: "a&b\"".to_owned() };
        assert_eq!(
            addresses(&demand, "https://evil.example/"),
            ["/auth/entra/login?step_up=a%26b%22&return_to=%2F".to_owned()]
        );
        let unauthenticated = Error::Unauthenticated { reason: Reason::NoSession };
        assert_eq!(addresses(&unauthenticated, "/chat").len(), 2, "one for each provider");
        let gone = Error::ProviderSignInNeeded { provider: "gone".to_owned() };
        for error in [gone, Error::NotFound, Error::StepUpInVain, Error::NotForUser] {
            assert!(addresses(&error, "/").is_empty(), "{error}");
        }
    }
}
