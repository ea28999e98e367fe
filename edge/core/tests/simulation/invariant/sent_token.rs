//! A refresh token that was sent, and what its provider did with it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_core::{runtime::unavailable::Unavailable, testing::platform::Answer};

use super::session_model::IssuedTokens;
use crate::{oneshot::Sender, provider_profile::ProviderProfile, scheduler::TaskId, world::World};

/// The outcome of sending a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendOutcome {
    /// The answer may still come.
    Pending,
    /// The provider said that it did not consume the token.
    NotConsumed,
    /// The provider failed, and may have consumed the token.
    PossiblyConsumed,
    Answered,
    /// No answer will come, or the answer is unreadable.
    AnswerLost,
}

/// One send of a refresh token.
pub(super) struct SentToken {
    pub(super) task: Option<TaskId>,
    pub(super) sent_at_ms: u64,
    pub(super) handle: String,
    pub(super) outcome: Cell<SendOutcome>,
    /// It requests a restricted token.
    pub(super) is_restricted: bool,
    /// Receives the answer. The answer may be there before its receiver has run.
    pub(super) answer: Sender<Result<Answer, Unavailable>>,
    /// The tokens that the answer contained.
    pub(super) issued_tokens: RefCell<Option<IssuedTokens>>,
    /// The provider said that the grant has ended.
    pub(super) is_grant_rejected: Cell<bool>,
}

/// Watches one send. If it is dropped without an answer, the sender will never have one.
pub(crate) struct SendWatch {
    pub(super) world: Rc<World>,
    pub(super) refresh_token: String,
    pub(super) sent: Rc<SentToken>,
}

impl SendWatch {
    /// Notes the answer, or that certainly none will come.
    pub(crate) fn on_answer(&self, answer: &Result<Answer, Unavailable>) {
        let Self { world, refresh_token, sent } = self;
        let Ok((status, headers, body)) = answer else { return };
        let has_retry_after = headers.iter().any(|(name, _)| *name == "retry-after");
        let body: Option<serde_json::Value> = serde_json::from_str(body).ok();
        let error = body.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default().to_owned();
        let tokens = body.as_ref().filter(|body| *status == 200 && body.get("access_token").is_some());
        if let Some(tokens) = tokens {
            let access = tokens["access_token"].as_str().unwrap().to_owned();
            let refresh = tokens["refresh_token"].as_str().unwrap_or(refresh_token).to_owned();
            *sent.issued_tokens.borrow_mut() =
                Some(IssuedTokens { access, refresh, is_restricted: sent.is_restricted });
            world.count(if sent.is_restricted { "restricted tokens" } else { "tokens renewed" });
        }
        sent.is_grant_rejected.set(matches!(error.as_str(), "invalid_grant" | "bad_refresh_token"));
        let profile = ProviderProfile::of_refresh_token(refresh_token);
        let is_strict = profile.max_sends == 1;
        let outcome = match (status, &body) {
            (503, _) if has_retry_after => SendOutcome::NotConsumed,
            (502 | 503, _) if !is_strict => SendOutcome::PossiblyConsumed,
            (502..=504, _) | (200..300, None) => SendOutcome::AnswerLost,
            // Without a new refresh token the old one stays valid, whatever happened to it before.
            (200..300, Some(body)) if body.get("access_token").is_some() && body.get("refresh_token").is_none() => {
                let sent_tokens = world.checker.sent_tokens.borrow();
                sent_tokens[refresh_token].iter().for_each(|sent| sent.outcome.set(SendOutcome::NotConsumed));
                SendOutcome::NotConsumed
            }
            (200..300, Some(_)) => SendOutcome::Answered,
            (400, _) if error == "invalid_scope" => {
                world.checker.note_restriction_denied(world, &sent.handle, refresh_token);
                match (profile.rotates, is_strict) {
                    (false, _) => SendOutcome::NotConsumed,
                    (true, true) => SendOutcome::AnswerLost,
                    (true, false) => SendOutcome::PossiblyConsumed,
                }
            }
            // An unreadable error may have been `invalid_scope`.
            (400, None) if sent.is_restricted && profile.rotates => {
                world.count("unreadable denials");
                if is_strict { SendOutcome::AnswerLost } else { SendOutcome::PossiblyConsumed }
            }
            // Only a request without the restriction shows whether the grant has ended.
            (400, _) if sent.is_restricted && matches!(error.as_str(), "invalid_grant" | "interaction_required") => {
                world.checker.note_restriction_denied(world, &sent.handle, refresh_token);
                SendOutcome::NotConsumed
            }
            (400, _) if error == "invalid_grant" => SendOutcome::Answered,
            _ => SendOutcome::NotConsumed,
        };
        if matches!(outcome, SendOutcome::AnswerLost | SendOutcome::PossiblyConsumed) {
            let why = "the provider may have consumed it";
            world.checker.note_possible_consumption(&sent.handle, refresh_token, why);
        }
        // A lost answer stays pending until the watch is dropped, which also notes the disruption.
        if outcome != SendOutcome::AnswerLost || error == "invalid_scope" {
            sent.outcome.set(outcome);
        }
    }
}

impl Drop for SendWatch {
    fn drop(&mut self) {
        let Self { world, refresh_token, sent } = self;
        if sent.outcome.get() == SendOutcome::Pending {
            sent.outcome.set(SendOutcome::AnswerLost);
            world.count("refresh answers not received");
            world.checker.note_disruption(sent.task, world.now_ms());
            world.checker.note_possible_consumption(&sent.handle, refresh_token, "its answer was lost");
        }
    }
}
