//! The network to providers and upstreams, and the API that takes their tokens.

use std::rc::Rc;

use causeway_core::{
    runtime::unavailable::Unavailable,
    testing::platform::{Answer, Sent},
};
use serde_json::json;

use super::{
    World,
    authority::{PROVIDER_PROFILES, ProviderProfile, issuer_of, scope_of},
    scheduler::Promise,
};

/// Puts the number of the browser that asks into a call, which the API finds there again.
pub(crate) const ASKED_BY: &str = "asked_by=";

fn is_api_of(profile: &ProviderProfile, url: &str) -> bool {
    url.starts_with(profile.api) || profile.mail.as_ref().is_some_and(|mail| url.starts_with(mail.api))
}

fn broken() -> Unavailable {
    Unavailable::new("network", "connection lost")
}

impl World {
    /// Brings a request to where it goes and the answer back, if the faults allows it.
    pub(super) fn carry(self: &Rc<Self>, sent: Sent, kept: Promise<Result<Answer, Unavailable>>) {
        let (faults, scheduler) = (self.faults.get(), &self.scheduler);
        self.trace(|| format!("sends {} {}", sent.url, sent.body));
        self.saw_revocation(&sent);
        let there_ms = faults.network_ms(scheduler);
        if scheduler.chance(faults.request_lost) {
            self.count("requests lost");
            // Whoever sent it cannot tell this from an answer that was lost.
            if scheduler.chance(500) {
                scheduler.later(there_ms, move || kept.keep(Err(broken())));
            }
            return;
        }
        let world = Rc::clone(self);
        scheduler.later(there_ms, move || {
            let (faults, scheduler) = (world.faults.get(), &world.scheduler);
            let answer = world.answer(&sent, kept.is_settled());
            let back_ms = faults.network_ms(scheduler);
            if scheduler.chance(faults.answer_lost) {
                world.count("answers lost");
                if scheduler.chance(500) {
                    scheduler.later(back_ms, move || kept.keep(Err(broken())));
                }
                return;
            }
            world.trace(|| format!("{} answers {} {}", sent.url, answer.0, answer.2));
            scheduler.later(back_ms, move || kept.keep(Ok(answer)));
        });
    }

    /// `is_late`: nobody waits for it any more.
    fn answer(&self, sent: &Sent, is_late: bool) -> Answer {
        let (faults, scheduler) = (self.faults.get(), &self.scheduler);
        let is_api = PROVIDER_PROFILES.iter().any(|profile| is_api_of(profile, &sent.url));
        if !is_api && scheduler.chance(faults.provider_busy) {
            self.count("providers busy");
            let retry_after = ("retry-after", "7".to_owned());
            return match scheduler.draw(0..4) {
                0 => (429, Vec::new(), "busy".to_owned()),
                1 => (429, vec![retry_after], "busy".to_owned()),
                _ => (503, vec![retry_after], "busy".to_owned()),
            };
        }
        let cut = scheduler.chance(faults.answer_cut).then(|| scheduler.draw(0..6));
        let unreachable = (503, Vec::new(), "upstream connect error or disconnect/reset before headers".to_owned());
        // A proxy says the same whether or not the provider behind it did its work.
        if cut == Some(5) {
            self.count("answers cut");
            return unreachable;
        }
        let answer = match self.provider_answers(sent, is_late) {
            Some(answer) => answer,
            None => self.api(sent),
        };
        // An error is cut off more often than it comes about: few can be read in two ways.
        let is_error_cut = answer.0 == 400 && scheduler.chance(3 * faults.answer_cut);
        let Some(cut) = cut.or_else(|| is_error_cut.then_some(4)) else { return answer };
        self.count("answers cut");
        match cut {
            // A gateway that did not wait for what was done all the same.
            0 => (504, Vec::new(), "<html>".to_owned()),
            1 => (200, vec![("content-type", "text/html".to_owned())], "<html>".to_owned()),
            // One that lost what was done.
            2 => (502, Vec::new(), "<html>".to_owned()),
            3 => {
                self.count("answers 503 for what was done");
                unreachable
            }
            _ => (answer.0, answer.1, answer.2.chars().take(answer.2.len() / 2).collect()),
        }
    }

    /// Says who the token's user is, to whoever has one that lives.
    fn api(&self, sent: &Sent) -> Answer {
        let bearer = sent.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
        let is_it =
            |profile: &&ProviderProfile| is_api_of(profile, &sent.url) || sent.url == profile.api.trim_end_matches('?');
        let of = PROVIDER_PROFILES.iter().find(is_it).unwrap();
        let is_mail = of.mail.as_ref().is_some_and(|mail| sent.url.starts_with(mail.api));
        if scope_of(token).is_some() != is_mail {
            self.checker.report_violation(self, || format!("{token:?} is sent to {}", sent.url));
        }
        if issuer_of(token) != Some(of.provider) {
            self.checker.report_violation(self, || format!("{token:?} is sent to the API of {}", of.provider));
        }
        if let Some((_, asker)) = sent.url.split_once(ASKED_BY) {
            self.checker.saw_call(self, asker.parse().unwrap(), token);
        }
        let json = vec![("content-type", "application/json".to_owned())];
        match self.introspect(of, token) {
            Some((user, grant)) => {
                let body = json!({"id": user, "login": "ada", "name": "Ada", "grant": grant});
                (200, json, body.to_string())
            }
            None => {
                if let Some((_, asker)) = sent.url.split_once(ASKED_BY) {
                    self.checker.saw_refusal(self, asker.parse().unwrap(), token);
                }
                (401, json, json!({"message": "Bad credentials"}).to_string())
            }
        }
    }
}
