//! `jwt[].claims` by JSON pointer, as Keycloak's roles, and of other kinds than texts: they
//! loaded, and could never hold.

use super::{edge, new_edge};
use crate::client::Request;
use crate::credentials::{claims, issuer, mint};
use crate::edge::Site;
use crate::support::{Envoy, bootstrap};
use serde_json::{Value, json};

fn document(name: &str, claims: &Value) -> Value {
    let mut issuer = issuer();
    issuer["claims"] = claims.clone();
    let auth = json!({"credentials": [{"header": "authorization"}], "jwt": [issuer]});
    json!({"policies": [{"name": name, "auth": auth}]})
}

pub(super) fn sites() -> Vec<Site> {
    let roles = json!({"/realm_access/roles": ["chat", "admin"]});
    vec![
        Site::new("roles", document("roles", &roles)),
        Site::new("verified", document("verified", &json!({"email_verified": ["true"]}))),
    ]
}

pub(super) fn new_sites() -> Vec<Site> {
    let kinds = json!({"email_verified": [true], "level": [3, 4], "/a~1b/0": ["x", false]});
    vec![Site::new("kinds", document("kinds", &kinds))]
}

fn with(over: &Value) -> Request {
    let token = mint(&json!({"claims": claims(over)}));
    Request::upgrade("/ws").with("authorization", format!("Bearer {token}"))
}

#[test]
fn roles_of_keycloak_are_found_by_pointer() {
    let edge = edge("roles");
    for roles in [json!(["offline_access", "chat"]), json!("admin"), json!("chat other")] {
        edge.opens(&with(&json!({"realm_access": {"roles": roles}})));
    }
    for over in [
        json!({"realm_access": {"roles": ["offline_access"]}}),
        json!({"realm_access": {"roles": []}}),
        json!({"realm_access": ["chat"]}),
        json!({"realm_access": {"roles": {"chat": true}}}),
        json!({"/realm_access/roles": ["chat"]}),
        json!({"roles": ["chat"]}),
    ] {
        edge.refuses(&with(&over), 401, "credentials_invalid");
    }
}

#[test]
fn numbers_and_booleans_are_compared_as_they_are_written() {
    let verified = edge("verified");
    verified.opens(&with(&json!({"email_verified": true})));
    verified.opens(&with(&json!({"email_verified": "true"})));
    for value in [json!(false), json!("True"), json!(1), json!({"true": true}), json!(null)] {
        let request = with(&json!({"email_verified": value}));
        verified.refuses(&request, 401, "credentials_invalid");
    }
}

#[test]
fn what_is_wanted_may_be_a_number_or_boolean_itself() {
    let kinds = new_edge("kinds");
    let good = json!({"email_verified": true, "level": 4, "a/b": [false]});
    kinds.opens(&with(&good));
    for (name, value) in [
        ("email_verified", json!(false)),
        ("level", json!(5)),
        ("level", json!(4.5)),
        ("a/b", json!([true])),
        ("a/b", json!([[[false]]])),
        ("a/b", json!({"1": "x"})),
    ] {
        let mut over = good.clone();
        over[name] = value;
        kinds.refuses(&with(&over), 401, "credentials_invalid");
    }
}

#[test]
fn what_can_never_hold_does_not_load() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for (claims, says) in [
        (json!({"/realm_access/~roles": ["chat"]}), "is no JSON pointer"),
        (json!({"roles": [["chat"]]}), "write a text, a number, true or false"),
        (json!({"roles": [{"chat": true}]}), "write a text, a number, true or false"),
        (json!({"/iss/0": ["a"]}), "can never hold"),
    ] {
        let log = Envoy::refuses(&bootstrap(&document("chat", &claims), nowhere));
        assert!(log.contains("policies[0].auth.jwt[0].claims"), "{claims}: {log}");
        assert!(log.contains(says), "{claims}: {log}");
    }
}
