//! What a token may claim, and when.

use super::*;

fn refusal(issuer: Issuer, claims: Value) -> Option<AuthError> {
    try_token(issuer, &token(claims)).err()
}

fn at_time(claims: Value, now: Timestamp) -> Result<Option<Timestamp>, AuthError> {
    present(&rules(vec![issuer()]), &token(claims), now, &NoHost).map(|identity| identity.expires)
}

#[test]
fn a_token_expires_exactly_when_exp_and_leeway_are_past() {
    let exp = json!({"exp": NOW});
    let expires = Some(at(NOW + 30));
    assert_eq!(at_time(exp.clone(), at(NOW)), Ok(expires));
    assert_eq!(at_time(exp.clone(), at(NOW + 29)), Ok(expires));
    let last = Timestamp::from_unix(Duration::new(NOW + 29, 999_999_999));
    assert_eq!(at_time(exp.clone(), last), Ok(expires));
    assert_eq!(at_time(exp.clone(), at(NOW + 30)), Err(AuthError::Expired));
    assert_eq!(at_time(exp, at(NOW + 31)), Err(AuthError::Expired));
}

#[test]
fn a_token_begins_exactly_at_nbf_less_the_leeway() {
    for (name, error) in [("nbf", AuthError::NotYetValid), ("iat", AuthError::IssuedAhead)] {
        let claims = json!({name: NOW, "exp": NOW + 60});
        assert_eq!(at_time(claims.clone(), at(NOW - 31)), Err(error));
        assert!(at_time(claims.clone(), at(NOW - 30)).is_ok());
        assert!(at_time(claims, at(NOW - 29)).is_ok());
    }
}

#[test]
fn times_may_have_fractions() {
    let claims = json!({"exp": 1_800_000_000.5});
    let expires = Some(Timestamp::from_unix(Duration::new(NOW + 30, 500_000_000)));
    assert_eq!(at_time(claims.clone(), at(NOW + 30)), Ok(expires));
    assert_eq!(at_time(claims, at(NOW + 31)), Err(AuthError::Expired));
    assert_eq!(at_time(json!({"exp": 1.8e9}), at(NOW)), Ok(Some(at(NOW + 30))));
}

#[test]
fn no_time_is_out_of_this_world() {
    let signed =
        |exp: &str| sign(r#"{"alg":"HS256"}"#, &format!(r#"{{"iss":"{ISSUER}","exp":{exp}}}"#));
    let wrong = Some(AuthError::ClaimValue(Claim::Exp));
    for exp in [
        "-1",
        "-0.5",
        "-1e300",
        "1e300",
        "1e18",
        "253402300800",
        "18446744073709551615",
        "18446744073709551616",
        "1800000060000",
        "\"1800000060\"",
        "true",
        "[1800000060]",
        "{}",
    ] {
        assert_eq!(try_token(issuer(), &signed(exp)).err(), wrong, "{exp}");
    }
    for exp in ["1e400", "-1e400", "NaN", "Infinity", "1800000060.", "+1800000060", "01"] {
        assert_eq!(try_token(issuer(), &signed(exp)).err(), Some(AuthError::Payload), "{exp}");
    }
    assert_eq!(try_token(issuer(), &signed("0")).err(), Some(AuthError::Expired));
    assert_eq!(try_token(issuer(), &signed("-0.0")).err(), Some(AuthError::Expired));
    assert!(try_token(issuer(), &signed("253402300799")).is_ok());
    for name in ["nbf", "iat"] {
        let wrong = Some(AuthError::ClaimValue(Claim::of(name)));
        assert_eq!(refusal(issuer(), json!({name: "now"})), wrong);
        assert_eq!(refusal(issuer(), json!({name: -1})), wrong);
    }
}

#[test]
fn required_claims_are_there_and_not_null() {
    let lacks = |claim| Some(AuthError::MissingClaim(claim));
    assert_eq!(refusal(issuer(), json!({"exp": null})), lacks(Claim::Exp));
    let null = format!(r#"{{"iss":"{ISSUER}","exp":null}}"#);
    let null = sign(r#"{"alg":"HS256"}"#, &null);
    assert_eq!(try_token(issuer(), &null).err(), lacks(Claim::Exp));
    let strict = || Issuer { required: vec!["sub".to_owned(), "room".to_owned()], ..issuer() };
    assert_eq!(refusal(strict(), json!({"sub": null})), lacks(Claim::Sub));
    assert_eq!(refusal(strict(), json!({})), lacks(Claim::Other));
    assert_eq!(refusal(strict(), json!({"room": 1})), None);
    // Nothing asks for exp here, and the token never expires; null is no date.
    let eternal = format!(r#"{{"iss":"{ISSUER}","sub":"alice","room":1}}"#);
    let eternal = sign(r#"{"alg":"HS256"}"#, &eternal);
    assert_eq!(try_token(strict(), &eternal).unwrap().expires, None);
    for name in ["exp", "nbf", "iat"] {
        let null = format!(r#"{{"iss":"{ISSUER}","sub":"alice","room":1,"{name}":null}}"#);
        let refused = try_token(strict(), &sign(r#"{"alg":"HS256"}"#, &null)).err();
        assert_eq!(refused, Some(AuthError::ClaimValue(Claim::of(name))));
    }
}

#[test]
fn the_audience_is_a_string_or_a_list_that_names_us() {
    let ours = || Issuer { audiences: vec!["chat".to_owned(), "ops".to_owned()], ..issuer() };
    for aud in [json!("chat"), json!("ops"), json!(["other", "chat"]), json!(["chat"])] {
        assert_eq!(refusal(ours(), json!({"aud": aud})), None);
    }
    for aud in
        [json!("Chat"), json!("chat "), json!("chat ops"), json!(""), json!([]), json!(["x"])]
    {
        assert_eq!(refusal(ours(), json!({"aud": aud})), Some(AuthError::Audience), "{aud}");
    }
    for aud in [json!(1), json!({"chat": 1}), json!(["chat", 1]), json!([["chat"]]), json!(true)] {
        let wrong = Some(AuthError::ClaimValue(Claim::Aud));
        assert_eq!(refusal(ours(), json!({"aud": aud})), wrong, "{aud}");
        assert_eq!(refusal(issuer(), json!({"aud": aud})), wrong, "{aud}");
    }
    assert_eq!(refusal(ours(), json!({})), Some(AuthError::MissingClaim(Claim::Aud)));
    assert_eq!(refusal(issuer(), json!({"aud": "anybody"})), None);
}

#[test]
fn wanted_claims_hold_one_of_their_values() {
    let wanting = || Issuer {
        claims: vec![("scope".to_owned(), vec!["chat:connect".to_owned(), "all of it".to_owned()])],
        ..issuer()
    };
    for scope in [
        json!("chat:connect"),
        json!("openid chat:connect profile"),
        json!(["openid", "chat:connect"]),
        json!("all of it"),
        json!([1, "all of it"]),
    ] {
        assert_eq!(refusal(wanting(), json!({"scope": scope})), None, "{scope}");
    }
    for scope in [
        json!("chat:connects"),
        json!("chat:connect,openid"),
        json!("Chat:Connect"),
        json!(""),
        json!([]),
        json!(["openid chat:connect"]),
        json!([["chat:connect"]]),
        json!({"chat:connect": true}),
        json!(true),
        json!(1),
    ] {
        let denied = Some(AuthError::ClaimDenied);
        assert_eq!(refusal(wanting(), json!({"scope": scope})), denied, "{scope}");
    }
    assert_eq!(refusal(wanting(), json!({})), Some(AuthError::MissingClaim(Claim::Scope)));
}

#[test]
fn wanted_claims_are_named_by_pointer_too_and_of_any_plain_kind() {
    let refused = |name: &str, values: &[&str], claims: Value| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        refusal(Issuer { claims: vec![(name.to_owned(), values)], ..issuer() }, claims)
    };
    for (name, values, claims) in [
        ("/realm_access/roles", &["chat"][..], json!({"realm_access": {"roles": ["a", "chat"]}})),
        ("/realm_access/roles/1", &["chat"], json!({"realm_access": {"roles": ["a", "chat"]}})),
        ("/a~1b/c~0d", &["x"], json!({"a/b": {"c~d": "w x"}})),
        ("https://example.com/roles", &["x"], json!({"https://example.com/roles": ["x"]})),
        ("email_verified", &["true"], json!({"email_verified": true})),
        ("email_verified", &["true"], json!({"email_verified": "true"})),
        ("disabled", &["false"], json!({"disabled": false})),
        ("level", &["3", "4"], json!({"level": 4})),
        ("level", &["1.5"], json!({"level": 1.5})),
        ("flags", &["7"], json!({"flags": ["a", true, 7]})),
        ("flags", &["true"], json!({"flags": [1, true]})),
    ] {
        assert_eq!(refused(name, values, claims.clone()), None, "{name} {claims}");
    }
    for (name, values, claims) in [
        ("/realm_access/roles", &["chat"][..], json!({"realm_access": {"roles": ["a"]}})),
        ("/realm_access/roles", &["chat"], json!({"realm_access": {"roles": {"chat": true}}})),
        ("email_verified", &["true"], json!({"email_verified": false})),
        ("email_verified", &["true"], json!({"email_verified": "True"})),
        ("email_verified", &["true"], json!({"email_verified": 1})),
        ("email_verified", &["true"], json!({"email_verified": [[true]]})),
        ("level", &["3"], json!({"level": 30})),
        ("level", &["3"], json!({"level": 3.0})),
        ("level", &["3"], json!({"level": "03"})),
    ] {
        let denied = Some(AuthError::ClaimDenied);
        assert_eq!(refused(name, values, claims.clone()), denied, "{name} {claims}");
    }
    for (name, claims) in [
        ("/realm_access/roles", json!({"realm_access": ["roles"]})),
        ("/realm_access/roles", json!({"realm_access": {"roles": null}})),
        ("/realm_access/roles", json!({"/realm_access/roles": "chat"})),
        ("email_verified", json!({"email_verified": null})),
    ] {
        let missing = Some(AuthError::MissingClaim(Claim::Other));
        assert_eq!(refused(name, &["chat", "null"], claims.clone()), missing, "{name} {claims}");
    }
    let required = || Issuer { required: vec!["/realm_access/roles".to_owned()], ..issuer() };
    assert_eq!(refusal(required(), json!({"realm_access": {"roles": []}})), None);
    let missing = Some(AuthError::MissingClaim(Claim::Other));
    assert_eq!(refusal(required(), json!({"realm_access": {}})), missing);
}

#[test]
fn the_subject_is_a_name() {
    for sub in [json!(1), json!(["alice"]), json!(""), json!("a\nb"), json!("a\u{0}"), json!(true)]
    {
        let wrong = Some(AuthError::ClaimValue(Claim::Sub));
        assert_eq!(refusal(issuer(), json!({"sub": sub})), wrong, "{sub}");
    }
    let nobody = try_token(issuer(), &token(json!({"sub": null}))).unwrap();
    assert_eq!(nobody.user, None);
}

#[test]
fn the_user_is_issuer_and_subject_and_no_two_are_the_same() {
    let user = |iss: &str, sub: &str| {
        let issuer = Issuer { issuer: iss.to_owned(), ..issuer() };
        try_token(issuer, &token(json!({"iss": iss, "sub": sub}))).unwrap().user.unwrap()
    };
    assert_eq!(user("https://a.example", "bob"), "https://a.example#bob");
    assert_ne!(user("https://a.example#b", "c"), user("https://a.example", "b#c"));
}

#[test]
fn expiry_is_only_told_of_what_was_good() {
    let past = json!({"exp": NOW - 100});
    assert_eq!(refusal(issuer(), past.clone()), Some(AuthError::Expired));
    let forged = token(past) + "A";
    assert_ne!(try_token(issuer(), &forged).err(), Some(AuthError::Expired));
    let ours = Issuer { audiences: vec!["chat".to_owned()], ..issuer() };
    let other = json!({"exp": NOW - 100, "aud": "other"});
    assert_eq!(refusal(ours, other), Some(AuthError::Audience));
}

#[test]
fn a_token_goes_to_its_issuer_and_to_nobody_else() {
    let other_secret = [b'x'; 64];
    let other = || Issuer {
        issuer: "https://other.example".to_owned(),
        keys: IssuerKeys::Fixed(KeySet::from_secret(&other_secret, &[Algorithm::HS256]).unwrap()),
        ..issuer()
    };
    let both = rules(vec![other(), issuer()]);
    assert!(present(&both, &token(json!({})), at(NOW), &NoHost).is_ok());
    // Signed by one, claimed to be of the other.
    let claimed = token(json!({"iss": "https://other.example"}));
    assert_eq!(present(&both, &claimed, at(NOW), &NoHost).err(), Some(AuthError::Signature));
    for iss in
        [json!("https://ISSUER.example.com"), json!(format!("{ISSUER}/")), json!(""), json!(1)]
    {
        let verdict = present(&both, &token(json!({"iss": iss})), at(NOW), &NoHost);
        assert_eq!(verdict.err(), Some(AuthError::UnknownIssuer), "{iss}");
    }
    let list = token(json!({"iss": [ISSUER]}));
    assert_eq!(present(&both, &list, at(NOW), &NoHost).err(), Some(AuthError::UnknownIssuer));
}

#[test]
fn an_issuer_takes_its_own_tokens_only_whoever_sent_them_there() {
    let foreign = token(json!({"iss": "https://foreign.example"}));
    let compact = jws::Compact::split(&foreign).unwrap();
    let claims = compact.payload().unwrap();
    let IssuerKeys::Fixed(keys) = issuer().keys else { panic!() };
    let header = jwt::check_header(&issuer(), &compact).unwrap();
    let token = (&compact, &header);
    let verdict = jwt::verify(&issuer(), &keys, token, claims, at(NOW), &NoHost);
    assert_eq!(verdict.err(), Some(AuthError::UnknownIssuer));
}

#[test]
fn a_token_of_a_known_issuer_is_never_looked_up_as_an_api_key() {
    let unsigned = token(json!({})).rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    let foreign = token(json!({"iss": "https://foreign.example"}));
    let mut rules = rules(vec![issuer()]);
    rules.api_keys.add_plain("known", unsigned.as_bytes()).unwrap();
    rules.api_keys.add_plain("foreign", foreign.as_bytes()).unwrap();
    let verdict = |token: &str| present(&rules, token, at(NOW), &NoHost);
    assert_eq!(verdict(&unsigned).err(), Some(AuthError::Signature));
    assert_eq!(verdict(&foreign).unwrap().user.as_deref(), Some("key:foreign"));
    assert_eq!(verdict("0123456789abcdef").err(), Some(AuthError::UnknownCredential));
}

#[test]
fn an_api_key_is_an_identity_that_does_not_expire() {
    let mut rules = rules(Vec::new());
    rules.api_keys.add_plain("dashboard", b"0123456789abcdef").unwrap();
    let identity = present(&rules, "0123456789abcdef", at(NOW), &NoHost).unwrap();
    assert_eq!(identity.user.as_deref(), Some("key:dashboard"));
    assert_eq!((identity.kind.name(), identity.key_id.as_str()), ("api_key", "dashboard"));
    assert_eq!((identity.expires, identity.authenticated_at), (None, at(NOW)));
    assert_eq!(identity.header_value("sub"), Ok(Some("key:dashboard".to_owned())));
    let refused = present(&rules, "0123456789abcdeF", at(NOW), &NoHost).err();
    assert_eq!(refused, Some(AuthError::UnknownCredential));
}

#[test]
fn malformed_tokens_are_named_as_such() {
    let good = token(json!({}));
    let [header, payload, signature]: [&str; 3] =
        good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let doubled = format!(r#"{{"iss":"{ISSUER}","exp":{},"sub":"a","sub":"b"}}"#, NOW + 60);
    let doubled_alg = r#"{"alg":"HS256","alg":"none"}"#;
    let usual = format!(r#"{{"iss":"{ISSUER}","exp":{}}}"#, NOW + 60);
    let cases = [
        (format!("{header}.{payload}"), AuthError::NotCompact),
        (format!("{good}."), AuthError::NotCompact),
        (format!("{good}.{signature}.{signature}"), AuthError::NotCompact),
        (format!("{header}=.{payload}.{signature}"), AuthError::NotCompact),
        (format!("{header}.{payload}.{signature}="), AuthError::NotCompact),
        (format!("{header}.!.{signature}"), AuthError::NotCompact),
        ("..".to_owned(), AuthError::Payload),
        (format!(".{payload}."), AuthError::Header),
        (sign(r#"{"alg":"HS256"}"#, &doubled), AuthError::DuplicateMember),
        (sign(doubled_alg, &usual), AuthError::DuplicateMember),
        (sign(r#"["HS256"]"#, &usual), AuthError::Header),
        (sign(r#"{"alg":"HS256"}"#, "[]"), AuthError::Payload),
        (sign(r#"{"alg":"none"}"#, &usual), AuthError::Algorithm),
        (sign(r#"{"alg":"RS256"}"#, &usual), AuthError::Algorithm),
        (sign(r#"{"alg":"HS384"}"#, &usual), AuthError::Algorithm),
        (sign(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, &usual), AuthError::Critical),
        (sign(r#"{"alg":"HS256","typ":"logout+jwt"}"#, &usual), AuthError::TokenType),
    ];
    for (token, expected) in cases {
        assert_eq!(try_token(issuer(), &token).err(), Some(expected), "{token}");
    }
    assert!(try_token(issuer(), &good).is_ok());
}

#[test]
fn claims_that_are_not_read_have_their_types_too() {
    for name in ["jti", "nonce"] {
        for good in ["\"a\"", "\"\"", "null"] {
            let claims = format!(r#"{{"iss":"{ISSUER}","exp":{},"{name}":{good}}}"#, NOW + 60);
            assert!(try_token(issuer(), &sign(r#"{"alg":"HS256"}"#, &claims)).is_ok(), "{claims}");
        }
        for value in [json!(1), json!(["a"]), json!({}), json!(true)] {
            let wrong = Some(AuthError::ClaimValue(Claim::of(name)));
            assert_eq!(refusal(issuer(), json!({name: value})), wrong, "{name} {value}");
        }
    }
}

#[test]
fn a_token_that_brings_a_key_along_is_refused_though_its_signature_is_good() {
    let payload = format!(r#"{{"iss":"{ISSUER}","exp":{}}}"#, NOW + 60);
    let signed = |more: &str| sign(&format!(r#"{{"alg":"HS256",{more}}}"#), &payload);
    let refused = |more: &str| try_token(issuer(), &signed(more)).err();
    assert_eq!(refused(r#""jwk":{"kty":"oct","k":"AAAA"}"#), Some(AuthError::OwnKey));
    assert_eq!(refused(r#""x5c":"AAAA""#), Some(AuthError::Header));
    assert_eq!(refused(r#""x5c":["AAAA"],"x5t":"a","jku":"https://evil.example""#), None);
}

#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    let header = json!({
        "alg": "HS256",
        "jwk": {"kty": "oct", "k": b64([b'x'; 32])},
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/cert",
        "x5c": ["AAAA"],
    });
    let text =
        format!("{}.{}", b64(header.to_string()), token(json!({})).split('.').nth(1).unwrap());
    let mac = hmac::Hmac::<Sha256>::new_from_slice(&[b'x'; 32]).unwrap().chain_update(&text);
    let token = format!("{text}.{}", b64(mac.finalize().into_bytes()));
    assert_eq!(try_token(issuer(), &token).err(), Some(AuthError::Signature));
}

#[test]
fn a_token_with_a_kid_is_tried_on_keys_without() {
    let payload = format!(r#"{{"iss":"{ISSUER}","exp":{}}}"#, NOW + 60);
    let token = sign(r#"{"alg":"HS256","kid":"2026"}"#, &payload);
    let identity = try_token(issuer(), &token).unwrap();
    // The token's own kid says nothing about a key that has none.
    assert_eq!(identity.key_id, identity::hash_prefix(token.as_bytes()));
}
