//! Checks of the answers that browsers get.

use causeway_core::{http::web::Response, testing::body::InMemoryBody};
use http::StatusCode;
use serde_json::Value;

use super::SESSIONS_PATH;
use crate::{
    browser::{Browser, Outcome, json_body},
    linked_account::{LINKED_PROVIDER, lists_linked_account},
    token::grant_belongs_to,
    world::World,
};

/// How long a request may take if its isolate has the processor.
const MAX_REQUEST_MS: u64 = 120_000;

/// A request, and the state of the world when it was sent.
pub(super) struct SentRequest {
    pub(super) isolate: usize,
    pub(super) began_ms: u64,
    /// Since when its session was dead; `None` if it was alive.
    pub(super) dead_since_ms: Option<u64>,
    pub(super) session_cookie: Option<String>,
    /// The live sessions of the user, if the request is about them: number and handle.
    pub(super) sessions_of_user: Vec<(u64, String)>,
    pub(super) target: String,
}

impl World {
    pub(super) fn check_answer(&self, browser: &Browser, sent: &SentRequest, response: Response<InMemoryBody>) {
        let duration_ms = self.now_ms() - sent.began_ms;
        let is_stalled = self.scheduler.current().is_some_and(|task| self.checker.stalled.borrow().contains(&task));
        if duration_ms > MAX_REQUEST_MS && !is_stalled {
            self.report_answer(browser, sent, format!("took {duration_ms} ms"));
        }
        let status = response.status;
        if status == StatusCode::NO_CONTENT {
            return self.check_change(browser, sent, &response);
        }
        let body = json_body(response);
        let outcome = match status {
            StatusCode::OK if sent.target == "/auth/session" && body["authenticated"] == false => {
                Outcome::Unauthenticated
            }
            StatusCode::OK => Outcome::Served,
            StatusCode::UNAUTHORIZED if body["code"] == "provider-sign-in-needed" => Outcome::SignInNeeded,
            StatusCode::UNAUTHORIZED => Outcome::Unauthenticated,
            StatusCode::SERVICE_UNAVAILABLE => Outcome::Unavailable,
            status => Outcome::Other(status.as_u16()),
        };
        browser.outcomes.borrow_mut().push(outcome);
        match outcome {
            Outcome::Served => self.check_served(browser, sent, &body),
            Outcome::SignInNeeded => self.check_sign_in_needed(browser, sent),
            Outcome::Unauthenticated => self.check_unauthenticated(browser, sent),
            Outcome::Unavailable => self.count("answers: unavailable"),
            Outcome::Other(500) => self.report_answer(browser, sent, "internal error".to_owned()),
            Outcome::Other(_) => self.count("other answers"),
        }
    }

    /// Reports a violation in an answer.
    fn report_answer(&self, browser: &Browser, sent: &SentRequest, what: String) {
        self.checker.report_violation(self, || format!("session {}, {}: {what}", browser.number, sent.target));
    }

    fn is_alive(&self, number: u64) -> bool {
        self.checker.dead_since_ms(self, number).is_none()
    }

    /// A session is served while it is alive, and no longer than the revocation bound after its end. The answer is
    /// about its own user.
    fn check_served(&self, browser: &Browser, sent: &SentRequest, body: &Value) {
        self.count("served");
        let config = self.isolate(sent.isolate).config();
        let bound_ms = u64::try_from(config.sessions.revocation_bound.as_millis()).unwrap();
        if let Some(dead_ms) = sent.dead_since_ms.filter(|dead_ms| *dead_ms <= sent.began_ms) {
            self.count("served after the end, within the bound");
            if sent.began_ms >= dead_ms + bound_ms {
                self.report_answer(browser, sent, format!("served {} ms after its end", sent.began_ms - dead_ms));
            }
        }
        if sent.target == SESSIONS_PATH {
            return self.check_list(browser, sent, body);
        }
        let is_call = sent.target.starts_with("/bff/");
        let is_own = if is_call {
            // A truncated answer is not JSON, and shows nothing of any user.
            body.is_null()
                || (body["id"] == browser.user
                    && body["grant"].as_u64().is_some_and(|grant| grant_belongs_to(grant, browser.number)))
        } else {
            body["user"]["id"] == format!("{}:{}", browser.profile.provider, browser.user)
        };
        if !is_own {
            self.report_answer(browser, sent, format!("gets {body}, which is not its own"));
        }
        if !is_call {
            self.check_session_view(browser, sent, body);
        }
    }

    fn check_sign_in_needed(&self, browser: &Browser, sent: &SentRequest) {
        self.count("answers: sign in with the provider");
        let is_restricted =
            browser.profile.restricted.as_ref().is_some_and(|service| sent.target.starts_with(service.edge_path));
        let is_own = is_restricted || sent.target.starts_with(browser.profile.edge_path);
        let provider = if is_own { browser.profile.provider } else { LINKED_PROVIDER };
        if !self.checker.may_require_sign_in(self, browser.number, provider, is_restricted, sent.began_ms) {
            let what = "must sign in with a provider that accepts its refresh token";
            self.report_answer(browser, sent, what.to_owned());
        }
    }

    fn check_unauthenticated(&self, browser: &Browser, sent: &SentRequest) {
        self.count("answers: sign in");
        match sent.dead_since_ms {
            Some(1..) if browser.has_session() => self.count("requests of ended sessions rejected"),
            None if self.is_alive_by_all_clocks(browser.number) && browser.has_session() => {
                self.report_answer(browser, sent, "must sign in though the session is alive".to_owned());
            }
            _ => {}
        }
    }

    /// A change that the edge confirms has happened.
    fn check_change(&self, browser: &Browser, sent: &SentRequest, response: &Response<InMemoryBody>) {
        let number = browser.number;
        if sent.target.ends_with("/disconnect") {
            self.count("accounts disconnected");
            let old_cookie = browser.session_cookie();
            browser.store_cookies(response);
            if browser.session_cookie() != old_cookie {
                browser.note_link_change(false, self.now_ms());
            }
        } else if sent.target == SESSIONS_PATH {
            self.count("other sessions ended");
            let others = sent.sessions_of_user.iter().map(|(other, _)| *other).filter(|other| *other != number);
            for other in others.filter(|other| self.is_alive(*other)) {
                let what = format!("session {other} survives the end of all other sessions");
                self.report_answer(browser, sent, what);
            }
        } else if let Some(handle) = sent.target.strip_prefix(SESSIONS_PATH) {
            self.count("single sessions ended");
            let ended = sent.sessions_of_user.iter().find(|(_, of)| of == handle.trim_start_matches('/'));
            if ended.is_some_and(|(ended, _)| self.is_alive(*ended)) {
                self.report_answer(browser, sent, "the ended session is alive".to_owned());
            }
        } else {
            self.count("sign-outs");
            if browser.has_session() && self.is_alive(number) {
                self.report_answer(browser, sent, "signed out, but the session is alive".to_owned());
            }
        }
    }

    /// A list of the user's sessions has all that were alive all the time, and no other user's.
    fn check_list(&self, browser: &Browser, sent: &SentRequest, body: &Value) {
        self.count("own sessions listed");
        let listed: Vec<&str> =
            body["sessions"].as_array().into_iter().flatten().filter_map(|it| it["id"].as_str()).collect();
        let alive_now = self.checker.of_same_user(self, browser.number);
        for (number, handle) in &sent.sessions_of_user {
            if alive_now.iter().any(|(alive, _)| alive == number) && !listed.contains(&handle.as_str()) {
                self.report_answer(browser, sent, format!("session {number} is missing from its user's list"));
            }
        }
        for handle in listed {
            if !self.checker.is_of_same_user(browser.number, handle) {
                self.report_answer(browser, sent, format!("{handle} is in another user's list"));
            }
        }
    }

    /// A session's view of itself is not older than the last change of accounts that the edge confirmed to its
    /// browser.
    fn check_session_view(&self, browser: &Browser, sent: &SentRequest, body: &Value) {
        let Some(change) = browser.last_link_change() else { return };
        if sent.session_cookie.as_ref() != Some(&change.cookie) || sent.began_ms < change.at_ms {
            return;
        }
        let has_account = self.checker.has_account_since(browser.number, LINKED_PROVIDER, change.at_ms);
        if has_account == Some(change.is_linked) {
            self.count("session views after a confirmed account change");
            if lists_linked_account(body) != change.is_linked {
                self.report_answer(browser, sent, format!("gets {body}, older than a confirmed account change"));
            }
        }
    }
}
