//! Step-up: what an upstream demands of the user's next authentication, in the challenge of a 401.
//!
//! There are two notations: the claims challenge of Microsoft Entra (`insufficient_claims`, also for Continuous Access
//! Evaluation) and RFC 9470 (`insufficient_user_authentication`). No refresh meets such a demand. The provider must
//! authenticate the user with the demand in the authorization request.
//!
//! An upstream wrote the challenge, and a sign-in cookie will hold it. So everything is bounded, and claims must have the
//! form of the `claims` request parameter (OpenID Connect Core §5.5).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use http::{HeaderMap, header};
use http_auth::{ChallengeParser, ChallengeRef, ParamValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    http::json::{StrictObject, UniqueMap},
    seal::length_prefixed,
};

/// The longest `WWW-Authenticate` header that is read, in bytes.
const MAX_CHALLENGE_BYTES: usize = 8 * 1024;
/// The longest claims, in bytes of JSON.
const MAX_CLAIMS_BYTES: usize = 1024;
/// The longest `acr_values`, in bytes.
const MAX_ACR_BYTES: usize = 256;
/// The parameters that are read. None may be repeated (RFC 9110 §11.2).
const PARAMETERS: [&str; 4] = ["error", "claims", "acr_values", "max_age"];
/// The most digits of a `max_age`.
const MAX_AGE_DIGITS: usize = 9;
/// The longest name of a claim, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Claims whose values tell of the challenge itself: when it was made, and from which address the call came. They may differ
/// each time that an upstream makes the same demand. Entra's Continuous Access Evaluation sends `nbf` and `xms_rp_ipaddr`;
/// the address is the edge's own.
const CHANGING: [&str; 5] = ["auth_time", "exp", "iat", "nbf", "xms_rp_ipaddr"];

/// What the next authentication must achieve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    /// The `claims` parameter, exactly as the upstream wrote it.
    claims: Option<String>,
    /// The acceptable authentication context classes, in order of preference.
    acr_values: Option<String>,
    /// How long ago the user may have authenticated, in seconds.
    max_age_seconds: Option<u64>,
}

impl StepUp {
    /// The demand in the headers of a 401. `None` if there is none, or none of the expected form.
    #[must_use]
    pub fn of_challenge(headers: &HeaderMap) -> Option<Self> {
        let mut texts = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        texts.find_map(|text| {
            let text = Some(text).filter(|text| text.len() <= MAX_CHALLENGE_BYTES)?;
            // After a part that is no challenge, the parser reports an error and ends.
            ChallengeParser::new(text).map_while(Result::ok).find_map(|challenge| Self::parse(&challenge))
        })
    }

    fn parse(challenge: &ChallengeRef<'_>) -> Option<Self> {
        let is_token_scheme = ["bearer", "dpop"].iter().any(|scheme| challenge.scheme.eq_ignore_ascii_case(scheme));
        if !is_token_scheme || PARAMETERS.iter().any(|name| values(challenge, name).nth(1).is_some()) {
            return None;
        }
        match parameter(challenge, "error")?.as_str() {
            "insufficient_claims" => {
                let claims = claims_of(&parameter(challenge, "claims")?)?;
                Some(Self { claims: Some(claims), acr_values: None, max_age_seconds: None })
            }
            "insufficient_user_authentication" => {
                let acr_values = parameter(challenge, "acr_values");
                let max_age = parameter(challenge, "max_age");
                if (acr_values.is_none() && max_age.is_none()) || !acr_values.as_deref().is_none_or(is_acr_values) {
                    return None;
                }
                let max_age_seconds = match max_age {
                    Some(text) => Some(seconds(&text).filter(|_| text.len() <= MAX_AGE_DIGITS)?),
                    None => None,
                };
                Some(Self { claims: None, acr_values, max_age_seconds })
            }
            _ => None,
        }
    }

    /// The parameters of the authorization request, without `max_age`.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let claims = self.claims.as_deref().map(|claims| ("claims", claims));
        let acr_values = self.acr_values.as_deref().map(|values| ("acr_values", values));
        claims.into_iter().chain(acr_values)
    }

    /// How long ago the user may have authenticated, in seconds.
    #[must_use]
    pub fn max_age_seconds(&self) -> Option<u64> {
        self.max_age_seconds
    }

    /// The time before which no token may have been issued, if there is one: the latest `nbf`, in Unix seconds.
    #[must_use]
    pub fn not_before_seconds(&self) -> Option<u64> {
        let claims: BTreeMap<String, Option<BTreeMap<String, Value>>> =
            serde_json::from_str(self.claims.as_deref()?).ok()?;
        let values = claims.values().flatten().filter_map(|requests| requests.get("nbf")?.get("value"));
        values.filter_map(|value| value.as_u64().or_else(|| seconds(value.as_str()?))).max()
    }

    /// Identifies this demand of this service. Demands that differ only in how they are written, or in the values of
    /// [`CHANGING`] claims, are one. A sign-in that met one of them met them all, except those for a later token, see
    /// [`StepUp::not_before_seconds`].
    #[must_use]
    pub fn digest(&self, service: &str) -> String {
        let max_age = self.max_age_seconds.map(|seconds| seconds.to_string());
        let claims = self.claims.as_deref().map(lasting);
        let parts = [Some(service), claims.as_deref(), self.acr_values.as_deref(), max_age.as_deref()];
        hex::encode(Sha256::digest(length_prefixed(&parts.map(|part| part.unwrap_or_default().as_bytes()))))
    }
}

/// What lasts of claims from one challenge to the next: their names, and the values of all but the [`CHANGING`] ones, in one
/// notation.
fn lasting(claims: &str) -> String {
    let Ok(mut claims) = serde_json::from_str::<BTreeMap<String, Option<BTreeMap<String, Value>>>>(claims) else {
        return claims.to_owned();
    };
    claims.retain(|_, requests| requests.is_some());
    for (name, request) in claims.values_mut().flatten().flatten() {
        if CHANGING.contains(&name.as_str()) {
            *request = Value::Null;
        }
    }
    json!(claims).to_string()
}

/// The values of a challenge's parameter.
fn values<'c, 'p>(challenge: &'c ChallengeRef<'p>, name: &'c str) -> impl Iterator<Item = &'c ParamValue<'p>> {
    challenge.params.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    values(challenge, name).next().map(ParamValue::to_unescaped)
}

/// Decodes claims. Entra writes base64; some libraries write base64url, or leave the padding out.
fn claims_of(encoded: &str) -> Option<String> {
    if encoded.len() > MAX_CLAIMS_BYTES.div_ceil(3) * 4 {
        return None;
    }
    let standard = encoded.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let json = String::from_utf8(BASE64.decode(standard).ok()?).ok()?;
    let StrictObject(Claims { access_token, id_token, userinfo }) = serde_json::from_str(&json).ok()?;
    let requests: Vec<_> =
        [access_token, id_token, userinfo].into_iter().flatten().flat_map(|UniqueMap(requests)| requests).collect();
    let is_valid = json.len() <= MAX_CLAIMS_BYTES
        && !requests.is_empty()
        && requests.iter().all(|(name, request)| is_name(name) && is_claim_request(request));
    is_valid.then_some(json)
}

/// The `claims` parameter: which claims each token must have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    access_token: Option<UniqueMap<Value>>,
    id_token: Option<UniqueMap<Value>>,
    userinfo: Option<UniqueMap<Value>>,
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a claim is requested in the notation of OpenID Connect Core §5.5.1, with plain values only.
fn is_claim_request(request: &Value) -> bool {
    let is_plain = |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    match request {
        Value::Null => true,
        Value::Object(members) => members.iter().all(|(name, value)| match name.as_str() {
            "essential" => value.is_boolean(),
            "value" => is_plain(value),
            "values" => value.as_array().is_some_and(|values| !values.is_empty() && values.iter().all(is_plain)),
            _ => false,
        }),
        _ => false,
    }
}

/// Whether a text is a list of authentication context classes: printable ASCII without quotes and backslashes, separated
/// by single spaces.
fn is_acr_values(text: &str) -> bool {
    let is_value = |value: &str| {
        !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    text.len() <= MAX_ACR_BYTES && text.split(' ').all(is_value)
}

fn seconds(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
