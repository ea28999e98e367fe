//! Signing in with Entra, by rules of its own.

use std::{cell::RefCell, rc::Rc};

use http::StatusCode;
use serde_json::{Value, json};

use super::Browser;
use crate::{
    simulated::{
        Text,
        entra::{self, KEY, NOW, merge},
    },
    web::Response,
};

/// Signs in at an edge of these settings with an ID token that says this, too; returns what the callback answers.
fn sign_in(settings: &[(&str, &str)], claims: Value) -> (Browser, Response<Text>) {
    let nonce: Rc<RefCell<String>> = Rc::default();
    let (known, fetches) = (Rc::clone(&nonce), Rc::new(RefCell::new(1)));
    let browser = Browser::configured(settings, move |sent| {
        let (status, headers, body) = entra::answer(sent, &known.borrow(), &fetches)?;
        let mut body: Value = serde_json::from_str(&body).ok()?;
        if sent.url.contains("/organizations/") && sent.url.ends_with("/openid-configuration") {
            body["issuer"] = "https://login.microsoftonline.com/{tenantid}/v2.0".into();
        } else if sent.url.ends_with("/token") {
            let mut said = json!({"nonce": *known.borrow()});
            merge(&mut said, claims.clone());
            body["id_token"] = entra::token_with(json!({}), said, &KEY).into();
        }
        Some((status, headers, body.to_string()))
    });
    let response = browser.get("/auth/entra/login");
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    *nonce.borrow_mut() = parameter("nonce");
    let response = browser.get(&format!("/auth/entra/callback?code=good&state={}", parameter("state")));
    (browser, response)
}

/// The real one's `iat` and `nbf` are five minutes old when it answers.
#[test]
fn m38_entra_says_an_earlier_time_than_it_issues_its_tokens_at() {
    for (age, status) in [(300, StatusCode::SEE_OTHER), (360, StatusCode::SEE_OTHER), (361, StatusCode::BAD_REQUEST)] {
        let claims = json!({"iat": NOW - age, "nbf": NOW - age, "exp": NOW + 3600});
        let (browser, response) = sign_in(&[], claims);
        assert_eq!(response.status, status, "{age} {:?}", browser.platform.log.borrow());
    }
}
