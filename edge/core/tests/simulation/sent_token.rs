//! Refresh tokens that were sent, and what became of each.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_core::{runtime::unavailable::Unavailable, testing::platform::Answer};

use super::{
    World,
    authority::{PROVIDER_PROFILES, ProviderProfile},
    scheduler::{Promise, TaskId},
    session_model::IssuedTokens,
};

/// What became of a refresh token that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its answer may still come.
    Pending,
    /// The provider said that it did nothing.
    Unused,
    /// The provider broke down over it.
    PossiblyConsumed,
    /// Answered.
    Answered,
    /// No answer will come, or none that can be read.
    Lost,
}

/// A refresh token on its way to its provider.
pub(super) struct SentToken {
    pub(super) task: Option<TaskId>,
    pub(super) at_ms: u64,
    pub(super) handle: String,
    pub(super) fate: Cell<Fate>,
    /// For a token that is good for one service only.
    pub(super) is_restricted: bool,
    /// What its sender waits for, who may not know yet that it is there.
    pub(super) answer: Promise<Result<Answer, Unavailable>>,
    /// The new tokens that came.
    pub(super) issued_tokens: RefCell<Option<IssuedTokens>>,
    /// Whether the provider said that its grant is over.
    pub(super) is_refused: Cell<bool>,
}

/// Watches one sent_token; whoever drops it unanswered will never have the answer.
pub(crate) struct Watch {
    pub(super) world: Rc<World>,
    pub(super) token: String,
    pub(super) sent_token: Rc<SentToken>,
}

/// The kind of provider that a refresh token is of.
pub(super) fn grant_profile(token: &str) -> &'static ProviderProfile {
    PROVIDER_PROFILES.iter().find(|profile| token.starts_with(&format!("rt.{}.", profile.provider))).unwrap()
}

impl Watch {
    /// Its answer came, or it is certain that none will.
    pub(crate) fn got(&self, answer: &Result<Answer, Unavailable>) {
        let Self { world, token, sent_token } = self;
        let Ok((status, headers, body)) = answer else { return };
        let is_timed = headers.iter().any(|(name, _)| *name == "retry-after");
        let body: Option<serde_json::Value> = serde_json::from_str(body).ok();
        let error = body.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default().to_owned();
        let tokens = body.as_ref().filter(|body| *status == 200 && body.get("access_token").is_some());
        if let Some(tokens) = tokens {
            let access = tokens["access_token"].as_str().unwrap().to_owned();
            let refresh = tokens["refresh_token"].as_str().unwrap_or(token).to_owned();
            *sent_token.issued_tokens.borrow_mut() =
                Some(IssuedTokens { access, refresh, is_restricted: sent_token.is_restricted });
            world.count(if sent_token.is_restricted { "restricted tokens" } else { "tokens renewed" });
        }
        sent_token.is_refused.set(matches!(error.as_str(), "invalid_grant" | "bad_refresh_token"));
        let profile = grant_profile(token);
        let is_strict = profile.sends == 1;
        let fate = match (status, &body) {
            (503, _) if is_timed => Fate::Unused,
            (502 | 503, _) if !is_strict => Fate::PossiblyConsumed,
            (502..=504, _) | (200..300, None) => Fate::Lost,
            // Without a new one the old one goes on working, whatever became of it before.
            (200..300, Some(body)) if body.get("access_token").is_some() && body.get("refresh_token").is_none() => {
                let all = world.checker.sent_tokens.borrow();
                all[token].iter().for_each(|sent_token| sent_token.fate.set(Fate::Unused));
                Fate::Unused
            }
            (200..300, Some(_)) => Fate::Answered,
            (400, _) if error == "invalid_scope" => {
                world.checker.denied(world, &sent_token.handle, token);
                match (profile.rotates, is_strict) {
                    (false, _) => Fate::Unused,
                    (true, true) => Fate::Lost,
                    (true, false) => Fate::PossiblyConsumed,
                }
            }
            // What cannot be read may have been that.
            (400, None) if sent_token.is_restricted && profile.rotates => {
                world.count("denials that could not be read");
                if is_strict { Fate::Lost } else { Fate::PossiblyConsumed }
            }
            // Whether all is over shows without the restriction only.
            (400, _)
                if sent_token.is_restricted && matches!(error.as_str(), "invalid_grant" | "interaction_required") =>
            {
                world.checker.denied(world, &sent_token.handle, token);
                Fate::Unused
            }
            (400, _) if error == "invalid_grant" => Fate::Answered,
            _ => Fate::Unused,
        };
        if matches!(fate, Fate::Lost | Fate::PossiblyConsumed) {
            world.checker.note_possible_consumption(&sent_token.handle, token, "the provider may have used it up");
        }
        if fate != Fate::Lost || error == "invalid_scope" {
            sent_token.fate.set(fate);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Self { world, token, sent_token } = self;
        if sent_token.fate.get() == Fate::Pending {
            sent_token.fate.set(Fate::Lost);
            world.count("answers to a refresh that nobody got");
            world.checker.trouble(sent_token.task, world.now_ms());
            world.checker.note_possible_consumption(&sent_token.handle, token, "its answer was lost");
        }
    }
}
