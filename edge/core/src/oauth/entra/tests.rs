use serde_json::{Value, json};

use super::super::{
    id_token::{IdClaims, IdTokenError, SignIn, validate, validate_refreshed},
    jws::SignatureError,
    signing_key::SigningKey,
};
use crate::testing::{
    entra::{KEY, NOW, TENANT, jwk, merge, token_with},
    settings::config_with,
};

const OTHER_TENANT: &str = "6f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const BEGUN_NOW: SignIn<'_> = SignIn { nonce: "n", began_ms: 1000 * NOW.unsigned_abs() };

fn key(extra: Value) -> SigningKey {
    serde_json::from_value(jwk(&KEY, extra)).unwrap()
}

fn check_with(token: &str, keys: &[SigningKey]) -> Result<IdClaims, IdTokenError> {
    validate(token, keys, config_with(json!({})).provider("entra").unwrap(), BEGUN_NOW, NOW)
}

fn claims(change: Value) -> Result<IdClaims, IdTokenError> {
    check_with(&token_with(json!({}), change, &KEY), &[key(json!({}))])
}

#[test]
fn s51_entra_tenant_version_and_key_issuer_must_match() {
    for change in [
        json!({"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}),
        json!({"tid": "common"}),
        json!({"tid": null}),
        json!({"ver": "1.0"}),
        json!({"ver": null}),
    ] {
        assert_eq!(claims(change.clone()).unwrap_err(), IdTokenError::Tenant, "{change}");
    }
    let token = token_with(json!({}), json!({}), &KEY);
    let of = |issuer: &str| [key(json!({"issuer": issuer}))];
    assert!(check_with(&token, &of("https://login.microsoftonline.com/{tenantid}/v2.0")).is_ok());
    let personal = of("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0");
    assert_eq!(check_with(&token, &personal).unwrap_err(), IdTokenError::WrongParty);
}

#[test]
fn s51_m77_entra_claim_of_a_wrong_type_is_rejected() {
    let malformed = IdTokenError::Signature(SignatureError::Malformed);
    let (keys, config) = ([key(json!({}))], config_with(json!({})));
    let provider = config.provider("entra").unwrap();
    let before = claims(json!({})).unwrap();
    for change in [
        json!({"ver": 1}),
        json!({"ver": 2.0}),
        json!({"groups": "one"}),
        json!({"groups": [1]}),
        json!({"tid": [TENANT]}),
        json!({"tid": 7}),
        json!({"oid": 7}),
        json!({"oid": ["o-1"]}),
        json!({"hasgroups": "true"}),
        json!({"_claim_names": "groups"}),
    ] {
        assert_eq!(claims(change.clone()).unwrap_err(), malformed, "{change}");
        let token = token_with(json!({}), change.clone(), &KEY);
        assert_eq!(validate_refreshed(&token, &keys, provider, &before, NOW).unwrap_err(), malformed, "{change}");
        assert!(IdClaims::read_unverified(&token, provider).is_none(), "{change}");
    }
    assert!(claims(json!({"email": ["ada@corp.example"], "name": 7})).unwrap().email.is_none());
}

#[test]
fn m42_refreshed_entra_token_must_have_the_same_tenant_and_object() {
    let before = claims(json!({})).unwrap();
    assert!(before.continues(&before, NOW));
    for change in [json!({"oid": "o-2"}), json!({"oid": null})] {
        assert!(!claims(change.clone()).unwrap().continues(&before, NOW), "{change}");
        assert!(!before.continues(&claims(change.clone()).unwrap(), NOW), "{change}");
    }
}

fn of_tenant(tenant: &str, change: Value, key_issuer: Value) -> Result<IdClaims, IdTokenError> {
    let config = config_with(json!({"ENTRA_TENANT": "common", "ENTRA_TENANTS": format!("{TENANT},{OTHER_TENANT}")}));
    let mut all = json!({"tid": tenant, "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0")});
    merge(&mut all, change);
    let token = token_with(json!({}), all, &KEY);
    validate(&token, &[key(json!({"issuer": key_issuer}))], config.provider("entra").unwrap(), BEGUN_NOW, NOW)
}

#[test]
fn s51_m74_only_listed_tenants_are_accepted() {
    let any = || json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    for tenant in [TENANT, OTHER_TENANT] {
        assert_eq!(of_tenant(tenant, json!({}), any()).unwrap().entra.unwrap().tid.as_deref(), Some(tenant));
    }
    assert_eq!(of_tenant(PERSONAL, json!({}), any()).unwrap_err(), IdTokenError::Tenant);
    assert_eq!(of_tenant("{tenantid}", json!({}), any()).unwrap_err(), IdTokenError::Tenant);
    assert_eq!(of_tenant("common", json!({}), any()).unwrap_err(), IdTokenError::Tenant);
    let other = json!({"tid": OTHER_TENANT});
    assert_eq!(of_tenant(TENANT, other, any()).unwrap_err(), IdTokenError::WrongParty, "tenant and issuer must match");
    let version_one = json!({"iss": format!("https://sts.windows.net/{TENANT}/"), "ver": "1.0"});
    assert_eq!(of_tenant(TENANT, version_one, any()).unwrap_err(), IdTokenError::Tenant);
}

#[test]
fn s51_m73_key_of_one_tenant_is_rejected_for_another() {
    let of = |tenant: &str| json!(format!("https://login.microsoftonline.com/{tenant}/v2.0"));
    assert!(of_tenant(TENANT, json!({}), of(TENANT)).is_ok());
    assert_eq!(of_tenant(TENANT, json!({}), of(PERSONAL)).unwrap_err(), IdTokenError::WrongParty);
    assert_eq!(of_tenant(TENANT, json!({}), of(OTHER_TENANT)).unwrap_err(), IdTokenError::WrongParty);
}

#[test]
fn m77_membership_needs_the_group_in_the_list() {
    let (group, other) = ("aaaaaaaa-8d3e-4b7a-9c11-2f6d0e4b7a90", "bbbbbbbb-8d3e-4b7a-9c11-2f6d0e4b7a90");
    let config = config_with(json!({"ENTRA_GROUPS": group}));
    let member = |change: Value| {
        let token = token_with(json!({}), change, &KEY);
        validate(&token, &[key(json!({}))], config.provider("entra").unwrap(), BEGUN_NOW, NOW)
    };
    assert!(member(json!({"groups": [other, group]})).is_ok());
    for change in [
        json!({}),
        json!({"groups": []}),
        json!({"groups": [other]}),
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://evil.example"}}}),
        json!({"groups": [group], "_claim_names": {"groups": "src1"}}),
        json!({"hasgroups": true}),
        json!({"groups": [group.to_uppercase()]}),
    ] {
        assert_eq!(member(change.clone()).unwrap_err(), IdTokenError::Group, "{change}");
        // The only check of a refreshed token whose key is not known yet.
        let unverified = token_with(json!({}), change.clone(), &KEY);
        let provider = config.provider("entra").unwrap();
        let claims = IdClaims::read_unverified(&unverified, provider).unwrap();
        assert_eq!(claims.check_party(provider).unwrap_err(), IdTokenError::Group, "{change}");
    }
    assert!(
        claims(json!({"_claim_names": {"groups": "src1"}})).is_ok(),
        "if no group is required, an unlisted group must not matter"
    );
}
