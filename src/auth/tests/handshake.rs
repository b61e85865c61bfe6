//! Where credentials stand in the opening handshake, and what upstream sees.

use super::*;
use crate::auth::presented::Credential;
use crate::handshake::HeadEdits;
use CredentialSource as Source;

pub(super) fn sources(sources: &[Source]) -> AuthRules {
    AuthRules { sources: sources.to_vec(), ..rules(Vec::new()) }
}

fn header(name: &str) -> Source {
    match name {
        "authorization" => Source::Authorization(Scheme::Bearer),
        name => Source::Header(name.to_owned()),
    }
}

fn query(name: &str) -> Source {
    Source::Query(name.to_owned())
}

fn cookie(name: &str) -> Source {
    Source::Cookie(name.to_owned())
}

pub(super) fn subprotocol(name: &str) -> Source {
    Source::Subprotocol(name.to_owned())
}

pub(super) fn prefix(prefix: &str, encoding: Encoding) -> Source {
    Source::SubprotocolPrefix { prefix: prefix.to_owned(), encoding }
}

pub(super) fn offer(entries: &[&str]) -> Vec<String> {
    entries.iter().map(|entry| (*entry).to_owned()).collect()
}

pub(super) fn found(presented: &Presented) -> Result<String, AuthError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    presented.credential().map(|credential| match credential {
        Credential::Token(token) => text(token),
        Credential::ApiKey { id, key } => format!("{} {}", text(id), text(key)),
    })
}

fn from_headers(source: Source, lines: &[(&str, &str)]) -> Result<String, AuthError> {
    found(&Presented::collect(&sources(&[source]), &head(lines), None, &[]))
}

fn from_query(text: &str) -> Result<String, AuthError> {
    let rules = sources(&[query("token")]);
    found(&Presented::collect(&rules, &head(&[]), Some(text.as_bytes()), &[]))
}

#[test]
fn authorization_is_the_bearer_scheme() {
    let from = |value: &str| from_headers(header("authorization"), &[("Authorization", value)]);
    for value in ["Bearer abc", "bearer abc", "BEARER   abc", " Bearer abc "] {
        assert_eq!(from(value), Ok("abc".to_owned()), "{value}");
    }
    for value in ["", "Bearer", "Bearer\tabc", "Bearer a b", "é"] {
        assert_eq!(from(value), Err(AuthError::NotBearer), "{value}");
    }
    for value in ["abc", "Bearerabc", "Basic abc", "Digest a=b, c=\"d\""] {
        assert_eq!(from(value), Err(AuthError::Missing), "{value}");
    }
    for value in ["Bearer a, Bearer b", "Bearer a,b", "Bearer a,"] {
        assert_eq!(from(value), Err(AuthError::Twice), "{value}");
    }
    assert_eq!(from_headers(header("authorization"), &[]), Err(AuthError::Missing));
}

#[test]
fn other_headers_are_taken_as_they_are() {
    let from = |lines: &[(&str, &str)]| from_headers(header("x-api-key"), lines);
    assert_eq!(from(&[("X-Api-Key", " a b=: ")]), Ok("a b=:".to_owned()));
    assert_eq!(from(&[("x-api-key", " ")]), Err(AuthError::Empty));
    assert_eq!(from(&[("x-api-key", "a, b")]), Err(AuthError::Twice));
    assert_eq!(from(&[("x-api-key", "a"), ("x-api-key", "a")]), Err(AuthError::Twice));
    assert_eq!(from(&[("x_api_key", "a")]), Err(AuthError::Missing));
}

#[test]
fn the_query_is_read_decoded() {
    assert_eq!(from_query("a=b&token=x.y%2Bz"), Ok("x.y+z".to_owned()));
    assert_eq!(from_query("%74oken=x"), Ok("x".to_owned()));
    for text in ["token=", "token", "a&token&b"] {
        assert_eq!(from_query(text), Err(AuthError::Empty), "{text}");
    }
    for text in ["token=a&token=a", "token=a&%74oken=b", "token=a&token", "token&token"] {
        assert_eq!(from_query(text), Err(AuthError::Twice), "{text}");
    }
    for text in ["", "Token=x", "tokens=x", "a=token"] {
        assert_eq!(from_query(text), Err(AuthError::Missing), "{text}");
    }
}

#[test]
fn cookies_are_read_over_all_lines() {
    let from = |lines: &[(&str, &str)]| from_headers(cookie("session"), lines);
    assert_eq!(from(&[("cookie", "a=1; session=\"x\"; b=2")]), Ok("x".to_owned()));
    assert_eq!(from(&[("cookie", "a=1"), ("cookie", "session=x")]), Ok("x".to_owned()));
    assert_eq!(from(&[("cookie", "session=x; session=x")]), Err(AuthError::Twice));
    assert_eq!(from(&[("cookie", "session=x"), ("cookie", "session=y")]), Err(AuthError::Twice));
    assert_eq!(from(&[("cookie", "session=")]), Err(AuthError::Empty));
    assert_eq!(from(&[("cookie", "session=\"\"")]), Err(AuthError::Empty));
    assert_eq!(from(&[("cookie", "sessions=x; session")]), Err(AuthError::Missing));
}

#[test]
fn basic_names_an_api_key_by_its_id() {
    let mut rules = sources(&[Source::Authorization(Scheme::Basic), header("authorization")]);
    rules.issuers = vec![issuer()];
    rules.api_keys.add_plain("CP-1", b"a-key-of-charger-1").unwrap();
    rules.api_keys.add_plain("CP-2", b"a-key-of-charger-2").unwrap();
    let from = |value: &str| {
        let presented = Presented::collect(&rules, &head(&[("authorization", value)]), None, &[]);
        authenticate(&rules, presented, at(NOW), &NoHost).map(|identity| identity.user.unwrap())
    };
    let basic =
        |pair: &str| from(&format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair)));
    assert_eq!(basic("CP-1:a-key-of-charger-1").as_deref(), Ok("key:CP-1"));
    assert_eq!(basic("CP-2:a-key-of-charger-2").as_deref(), Ok("key:CP-2"));
    let good = token(json!({}));
    for pair in [
        "CP-1:a-key-of-charger-2",
        "cp-1:a-key-of-charger-1",
        "CP-1:A-key-of-charger-1",
        ":a-key-of-charger-1",
        "CP-1:x",
        &format!("CP-1:{good}"),
        &format!("alice:{good}"),
    ] {
        assert_eq!(basic(pair), Err(AuthError::UnknownCredential), "{pair}");
    }
    assert_eq!(basic("CP-1:"), Err(AuthError::Empty));
    assert_eq!(from("Basic x"), Err(AuthError::NotBasic));
    // The other scheme has its own entry, and knows keys without their ids.
    assert!(from(&format!("Bearer {good}")).is_ok());
    assert_eq!(from("Bearer a-key-of-charger-1").as_deref(), Ok("key:CP-1"));
    assert_eq!(from("Digest a=b"), Err(AuthError::Missing));
}

#[test]
fn a_credential_is_known_to_stand_in_a_cookie() {
    let rules = sources(&[header("authorization"), cookie("session")]);
    let in_cookie =
        |lines: &[(&str, &str)]| Presented::collect(&rules, &head(lines), None, &[]).is_in_cookie();
    assert!(in_cookie(&[("cookie", "session=x")]));
    assert!(in_cookie(&[("cookie", "session=x; session=y")]));
    assert!(in_cookie(&[("cookie", "session="), ("authorization", "Basic YTpi")]));
    assert!(!in_cookie(&[("cookie", "session=x"), ("authorization", "Bearer a")]));
    assert!(!in_cookie(&[("cookie", "other=x")]));
}

#[test]
fn the_first_place_that_is_there_decides_good_or_bad() {
    let rules = sources(&[header("authorization"), query("token"), cookie("session")]);
    let collect = |lines: &[(&str, &str)], text: Option<&str>| {
        found(&Presented::collect(&rules, &head(lines), text.map(str::as_bytes), &[]))
    };
    let both = [("authorization", "Bearer a"), ("cookie", "session=c")];
    assert_eq!(collect(&both, Some("token=b")), Ok("a".to_owned()));
    assert_eq!(collect(&both[1..], Some("token=b")), Ok("b".to_owned()));
    assert_eq!(collect(&both[1..], None), Ok("c".to_owned()));
    assert_eq!(collect(&both[1..], Some("token=")), Err(AuthError::Empty));
    assert_eq!(collect(&[("authorization", "Basic x")], Some("token=b")), Ok("b".to_owned()));
    assert_eq!(collect(&[("authorization", "")], Some("token=b")), Err(AuthError::NotBearer));
    let joined = [("authorization", "Basic x, Bearer y")];
    assert_eq!(collect(&joined, Some("token=b")), Err(AuthError::Twice));
    assert_eq!(collect(&[], Some("a=b")), Err(AuthError::Missing));
}

#[test]
fn what_is_too_long_is_refused_unread_in_every_place() {
    let (fits, long) = ("a".repeat(MAX_CREDENTIAL_BYTES), "a".repeat(32 << 10));
    let value = |token: &str| format!("Bearer {token}");
    let authorization =
        |token: &str| from_headers(header("authorization"), &[("authorization", &value(token))]);
    let session =
        |token: &str| from_headers(cookie("session"), &[("cookie", &format!("session={token}"))]);
    assert_eq!(authorization(&fits).as_ref(), Ok(&fits));
    let one_more = format!("{fits}a");
    for token in [&one_more, &long] {
        assert_eq!(authorization(token), Err(AuthError::TooLong));
        assert_eq!(from_headers(header("k"), &[("k", token)]), Err(AuthError::TooLong));
        assert_eq!(session(token), Err(AuthError::TooLong));
        assert_eq!(from_query(&format!("token={token}")), Err(AuthError::TooLong));
        assert_eq!(super::offer::from_offer(&["bearer", token]), Err(AuthError::TooLong));
    }
    // As sent: what would be short when decoded is refused all the same.
    assert_eq!(from_query(&format!("token={}", "%41".repeat(6000))), Err(AuthError::TooLong));
    let real = token(json!({"filler": "x".repeat(24 << 10)}));
    assert!(real.len() > 32 << 10);
    assert_eq!(try_token(issuer(), &real).err(), Some(AuthError::TooLong));
    let real = token(json!({"filler": "x".repeat(11 << 10)}));
    assert!(try_token(issuer(), &real).is_ok());
}

#[test]
fn every_listed_place_is_stripped_whichever_decided() {
    let rules = sources(&[
        header("authorization"),
        header("x-api-key"),
        query("token"),
        cookie("session"),
        cookie("sid"),
        subprotocol("bearer"),
    ]);
    let head = head(&[
        ("authorization", "Bearer a"),
        ("x-api-key", "k"),
        ("X_API_Key", "k"),
        ("x-api-key", "l"),
        ("cookie", "a=1; session=x; b=2"),
        ("accept", "*/*"),
        ("cookie", "sid=y"),
    ]);
    let stripped = strip(&rules, &head, Some(b"a=1&token=x&b=%20&%74oken=y"));
    assert_eq!(stripped.remove_headers, ["authorization", "x-api-key", "x_api_key"]);
    assert_eq!(stripped.cookie, Rest::Left(b"a=1; b=2".to_vec()));
    assert_eq!(stripped.query, Rest::Left(b"a=1&b=%20".to_vec()));

    let mut edits = HeadEdits::default();
    stripped.add_to(b"/ws", &mut edits);
    assert_eq!(edits.remove, ["authorization", "x-api-key", "x_api_key"]);
    let set = [
        ("cookie".to_owned(), b"a=1; b=2".to_vec()),
        (":path".to_owned(), b"/ws?a=1&b=%20".to_vec()),
    ];
    assert_eq!(edits.set, set);

    // Other spellings were not verified, so they do not go on.
    let forwarding = AuthRules { forward: true, ..rules };
    let kept = strip(&forwarding, &head, Some(b"token=x"));
    let remove_headers = vec!["x_api_key".to_owned()];
    assert_eq!(kept, Stripped { remove_headers: remove_headers.clone(), ..Stripped::default() });
    let kept = strip(&forwarding, &head, Some(b"token=x&Token=y"));
    let query = Rest::Left(b"token=x".to_vec());
    assert_eq!(kept, Stripped { remove_headers, query, ..Stripped::default() });
}

#[test]
fn what_is_left_of_nothing_goes_and_what_holds_nothing_stays() {
    let rules = sources(&[header("authorization"), query("token"), cookie("session")]);
    let mut edits = HeadEdits::default();
    strip(&rules, &head(&[("cookie", "session=x")]), Some(b"token=x")).add_to(b"/ws", &mut edits);
    assert_eq!(edits.remove, ["cookie"]);
    assert_eq!(edits.set, [(":path".to_owned(), b"/ws".to_vec())]);

    let untouched = strip(&rules, &head(&[("cookie", "a=1")]), Some(b"a=1&&"));
    assert_eq!(untouched, Stripped::default());
    let mut edits = HeadEdits::default();
    untouched.add_to(b"/ws", &mut edits);
    assert_eq!(edits, HeadEdits::default());
    assert_eq!(strip(&rules, &head(&[]), None), Stripped::default());
}

#[test]
fn identity_headers_are_known_in_every_spelling() {
    let configured = offer(&["x-user-id", "x-workspace-id"]);
    for name in [
        "x-user-id",
        "X-USER-ID",
        "x_user_id",
        "X-User_id",
        "x-workspace_id",
        "X.User.Id",
        "x~user~id",
        "x!user'id",
        "x|user`id",
        "x-user^id",
        "x*user+id",
        "X$Workspace&ID",
    ] {
        assert!(is_identity_header(name, &configured), "{name}");
    }
    for name in ["x-user", "x-user-id-", "xuserid", "x--user-id", "x-user-1d", ""] {
        assert!(!is_identity_header(name, &configured), "{name}");
    }
    let head = head(&[("x_user_id", "1"), ("X-User-Id", "2"), ("accept", "*"), ("x_user_id", "3")]);
    assert_eq!(sent_identity_headers(&head, &configured), ["x-user-id", "x_user_id"]);
}

#[test]
fn upstream_is_told_who_it_is() {
    let mut rules = rules(vec![issuer()]);
    let header =
        |name: &str, claim: &str| IdentityHeader { name: name.to_owned(), claim: claim.to_owned() };
    rules.identity_headers =
        vec![header("x-user-id", "sub"), header("x-room", "room"), header("x-level", "level")];
    let identity = present(&rules, &token(json!({"level": 3})), at(NOW), &NoHost).unwrap();
    let expected =
        [("x-user-id".to_owned(), b"alice".to_vec()), ("x-level".to_owned(), b"3".to_vec())];
    assert_eq!(identity_headers(&rules, &identity).unwrap(), expected);
    let identity = present(&rules, &token(json!({"room": ["a"]})), at(NOW), &NoHost).unwrap();
    assert_eq!(identity_headers(&rules, &identity), Err(AuthError::IdentityValue));
}

#[test]
fn nothing_of_a_credential_is_shown() {
    let rules = rules(vec![issuer()]);
    let secret = token(json!({"email": "alice@example.com"}));
    let head = head(&[("authorization", &format!("Bearer {secret}"))]);
    let presented = Presented::collect(&rules, &head, None, &[]);
    assert!(!format!("{presented:?}").contains(&secret[..8]));
    let identity = authenticate(&rules, presented, at(NOW), &NoHost).unwrap();
    assert!(!format!("{identity:?}").contains("example.com\","));
    assert!(!format!("{identity:?}").contains("email"));
}
