//! Open connections end with what opened them.

use super::*;

#[test]
fn an_open_connection_ends_with_its_session() {
    let worker = Worker::new(&json!({}));
    let mut open = session(worker.decided(&with("opaque"), &yes()));
    assert!(matches!(open.on_response(101, &switching(&[])), Opening::Open(_)));
    worker.host.advance(Duration::from_secs(599));
    assert_eq!(open.on_tick().refused, None);
    worker.host.take_lines();
    worker.host.advance(Duration::from_secs(1));
    assert_eq!(open.on_tick().refused, Some(Reason::CredentialsExpired));
    assert_eq!(open.on_tick().refused, None, "told once");
    open.on_end();
    let told = events(&worker.host);
    let kinds: Vec<_> = told.iter().map(|e| (e["event"].as_str(), e["reason"].as_str())).collect();
    let reason = Some("credentials_expired");
    assert_eq!(kinds, [(Some("refused"), reason), (Some("closed"), reason)]);
    assert!(worker.host.now() > Timestamp::from_unix(BEGIN));
}

#[test]
fn without_close_at_expiry_and_in_report_it_stays() {
    for over in [json!({"close_at_expiry": false}), json!({"mode": "report"})] {
        let worker = Worker::new(&over);
        let mut open = session(worker.decided(&with("opaque"), &yes()));
        assert!(matches!(open.on_response(101, &switching(&[])), Opening::Open(_) | Opening::Pass));
        worker.host.advance(Duration::from_secs(6_000));
        assert!(!open.on_tick().reset, "{over}");
    }
}
