//! What the client sees of an error: a problem document, or a page.

use causeway_protocol::{
    deliver::WIRE_VERSION,
    problem::{PROBLEM_JSON, Problem},
};
use http::header;
use serde::Serialize;

use super::Error;
use crate::http::{
    page::{Escaped, Link, page},
    web::Response,
};

impl Error {
    /// The sentence for the client.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Misconfigured => "The service is not configured correctly; its log says what is missing.".to_owned(),
            Self::NotFound => "There is nothing at this path.".to_owned(),
            Self::MethodNotAllowed { allow } => format!("This path answers {allow} only."),
            Self::Unauthenticated { .. } => "Sign in first.".to_owned(),
            Self::ProviderSignInNeeded { provider } => format!("Sign in with {provider} to use this service."),
            Self::StepUpNeeded { provider, .. } => format!("Sign in with {provider} again to use this service."),
            Self::StepUpInVain => "This service does not accept your sign-in.".to_owned(),
            Self::Forbidden { .. } => "This request may not come from where it came from.".to_owned(),
            Self::NotForUser => "This service is not for users of the provider you signed in with.".to_owned(),
            Self::BadRequest { reason } => format!("The request is malformed: {reason}."),
            Self::TooManyRequests => "That was a lot at once. Please try again shortly.".to_owned(),
            Self::OwnAccount => "This is the account you are signed in with; sign out instead.".to_owned(),
            Self::OtherAccount => "You are signed in with another account there; sign out first.".to_owned(),
            Self::UserChanged => "Another user is signed in by now.".to_owned(),
            Self::IdempotencyKeyReused => "This Idempotency-Key was used for another event.".to_owned(),
            Self::WireVersion { .. } => "Edge and bridge have different versions.".to_owned(),
            Self::HeadersTooLarge => {
                "The browser sent more cookies than fit. Those of this service are cleared: please sign in again."
                    .to_owned()
            }
            Self::TooLarge => "The request's body is too large.".to_owned(),
            Self::LengthRequired => "The request must say how long its body is.".to_owned(),
            Self::TooSlow => "The request's body took too long to arrive.".to_owned(),
            Self::ClientDisconnected => "The client closed the request before the response.".to_owned(),
            Self::UnsupportedMediaType => "The request's body must be application/json.".to_owned(),
            Self::LogoutRefused { .. } => "The logout token is not valid.".to_owned(),
            Self::SignInRefused { .. } => "The sign-in could not be completed. Please try again.".to_owned(),
            Self::Unavailable(_) | Self::UpstreamRateLimited { .. } => {
                "The service cannot do this right now. Please try again shortly.".to_owned()
            }
            Self::BadGateway { .. } => {
                "The service behind this one gave an answer that cannot be passed on.".to_owned()
            }
            Self::Unanswerable { .. } => "Something went wrong here.".to_owned(),
        }
    }

    /// The problem document.
    #[must_use]
    pub fn response<B>(&self, request_id: &str) -> Response<B> {
        let status = self.status();
        let problem = Problem::new(status.as_u16(), self.code(), &self.title(), request_id);
        let mut response = match self {
            Self::StepUpNeeded { provider, step_up } => {
                Response::json(status, PROBLEM_JSON, &StepUpProblem { problem, provider, step_up })
            }
            Self::WireVersion { .. } => {
                let (detail, version) = (self.to_string(), WIRE_VERSION);
                Response::json(status, PROBLEM_JSON, &WireVersionProblem { problem, detail, version })
            }
            _ => Response::json(status, PROBLEM_JSON, &problem),
        };
        self.decorate(&mut response);
        response
    }

    /// A page without scripts, for navigations.
    #[must_use]
    pub fn page<B>(&self, request_id: &str) -> Response<B> {
        self.page_with(&self.title(), &[], request_id)
    }

    /// The page with a title and with links that help.
    #[must_use]
    pub fn page_with<B>(&self, title: &str, links: &[Link], request_id: &str) -> Response<B> {
        let links: String = links.iter().map(Link::to_string).collect();
        let mut response = page(
            self.status(),
            &format_args!(
                "<h1>{}</h1>{links}<p><a href=\"/\">Go back</a></p><p><small>{} · {}</small></p>",
                Escaped(title),
                self.code(),
                Escaped(request_id),
            ),
        );
        self.decorate(&mut response);
        response
    }

    fn decorate<B>(&self, response: &mut Response<B>) {
        if let Self::MethodNotAllowed { allow } = self {
            response.set(header::ALLOW, allow);
        }
        if let Some(seconds) = self.retry_after_seconds() {
            response.set(header::RETRY_AFTER, &seconds.to_string());
        }
    }
}

/// The problem document of [`Error::StepUpNeeded`], with what the page needs to start the sign-in.
#[derive(Serialize)]
struct StepUpProblem<'a> {
    #[serde(flatten)]
    problem: Problem,
    provider: &'a str,
    step_up: &'a str,
}

/// The problem document of [`Error::WireVersion`]. Its detail names both versions.
#[derive(Serialize)]
struct WireVersionProblem {
    #[serde(flatten)]
    problem: Problem,
    detail: String,
    /// The edge's version.
    version: u32,
}
