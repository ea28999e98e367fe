//! Refresh tokens that were sent, and what became of each.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_core::{runtime::unavailable::Unavailable, testing::platform::Answer};

use super::{
    World,
    authority::{MANNERS, Manner},
    scheduler::{Promise, TaskId},
    session_model::Brought,
};

/// What became of a refresh token that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its answer may still come.
    Pending,
    /// The provider said that it did nothing.
    Unused,
    /// The provider broke down over it.
    Doubtful,
    /// Answered.
    Answered,
    /// No answer will come, or none that can be read.
    Lost,
}

/// A refresh token on its way to its provider.
pub(super) struct Sending {
    pub(super) task: Option<TaskId>,
    pub(super) at_ms: u64,
    pub(super) handle: String,
    pub(super) fate: Cell<Fate>,
    /// For a token that is good for one service only.
    pub(super) is_restricted: bool,
    /// What its sender waits for, who may not know yet that it is there.
    pub(super) answer: Promise<Result<Answer, Unavailable>>,
    /// The new tokens that came.
    pub(super) brought: RefCell<Option<Brought>>,
    /// Whether the provider said that its grant is over.
    pub(super) is_refused: Cell<bool>,
}

/// Watches one sending; whoever drops it unanswered will never have the answer.
pub(crate) struct Watch {
    pub(super) world: Rc<World>,
    pub(super) token: String,
    pub(super) sending: Rc<Sending>,
}

/// The kind of provider that a refresh token is of.
pub(super) fn grant_manner(token: &str) -> &'static Manner {
    MANNERS.iter().find(|manner| token.starts_with(&format!("rt.{}.", manner.provider))).unwrap()
}

impl Watch {
    /// Its answer came, or it is certain that none will.
    pub(crate) fn got(&self, answer: &Result<Answer, Unavailable>) {
        let Self { world, token, sending } = self;
        let Ok((status, headers, body)) = answer else { return };
        let is_timed = headers.iter().any(|(name, _)| *name == "retry-after");
        let body: Option<serde_json::Value> = serde_json::from_str(body).ok();
        let error = body.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default().to_owned();
        let tokens = body.as_ref().filter(|body| *status == 200 && body.get("access_token").is_some());
        if let Some(tokens) = tokens {
            let access = tokens["access_token"].as_str().unwrap().to_owned();
            let refresh = tokens["refresh_token"].as_str().unwrap_or(token).to_owned();
            *sending.brought.borrow_mut() = Some(Brought { access, refresh, is_restricted: sending.is_restricted });
            world.count(if sending.is_restricted { "restricted tokens" } else { "tokens renewed" });
        }
        sending.is_refused.set(matches!(error.as_str(), "invalid_grant" | "bad_refresh_token"));
        let manner = grant_manner(token);
        let is_strict = manner.sends == 1;
        let fate = match (status, &body) {
            (503, _) if is_timed => Fate::Unused,
            (502 | 503, _) if !is_strict => Fate::Doubtful,
            (502..=504, _) | (200..300, None) => Fate::Lost,
            // Without a new one the old one goes on working, whatever became of it before.
            (200..300, Some(body)) if body.get("access_token").is_some() && body.get("refresh_token").is_none() => {
                let all = world.judge.sendings.borrow();
                all[token].iter().for_each(|sending| sending.fate.set(Fate::Unused));
                Fate::Unused
            }
            (200..300, Some(_)) => Fate::Answered,
            (400, _) if error == "invalid_scope" => {
                world.judge.denied(world, &sending.handle, token);
                match (manner.rotates, is_strict) {
                    (false, _) => Fate::Unused,
                    (true, true) => Fate::Lost,
                    (true, false) => Fate::Doubtful,
                }
            }
            // What cannot be read may have been that.
            (400, None) if sending.is_restricted && manner.rotates => {
                world.count("denials that could not be read");
                if is_strict { Fate::Lost } else { Fate::Doubtful }
            }
            // Whether all is over shows without the restriction only.
            (400, _) if sending.is_restricted && matches!(error.as_str(), "invalid_grant" | "interaction_required") => {
                world.judge.denied(world, &sending.handle, token);
                Fate::Unused
            }
            (400, _) if error == "invalid_grant" => Fate::Answered,
            _ => Fate::Unused,
        };
        if matches!(fate, Fate::Lost | Fate::Doubtful) {
            world.judge.doubt(&sending.handle, token, "the provider may have used it up");
        }
        if fate != Fate::Lost || error == "invalid_scope" {
            sending.fate.set(fate);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Self { world, token, sending } = self;
        if sending.fate.get() == Fate::Pending {
            sending.fate.set(Fate::Lost);
            world.count("answers to a refresh that nobody got");
            world.judge.trouble(sending.task, world.now_ms());
            world.judge.doubt(&sending.handle, token, "its answer was lost");
        }
    }
}
