//! The workspace case, each way that a client can say which one it wants.

use super::*;
use crate::rig::{Rig, text};

/// Where the workspace is named.
#[derive(Clone, Copy, Debug)]
enum Way {
    Query,
    Header,
    Path,
    Message,
}

const WAYS: [Way; 4] = [Way::Query, Way::Header, Way::Path, Way::Message];

impl Way {
    fn from(self) -> Value {
        match self {
            Self::Query => json!({"query": "workspaceId"}),
            Self::Header => json!({"header": "x-workspace"}),
            Self::Path => json!({"path": "/workspaces/{workspaceId}"}),
            Self::Message => json!({"message": "/workspaceId", "when": {"/type": "open"}}),
        }
    }

    /// The variable of a callout's path.
    fn name(self) -> &'static str {
        if matches!(self, Self::Header) { "x-workspace" } else { "workspaceId" }
    }

    fn arrival(self, workspace: Option<&str>) -> Arrival {
        match (self, workspace) {
            (Self::Query, Some(id)) => at(&format!("/ws?workspaceId={id}")),
            (Self::Path, Some(id)) => at(&format!("/workspaces/{id}")),
            (Self::Header, Some(id)) => arrival(&[("x-session", "opaque"), ("x-workspace", id)]),
            _ => at("/ws"),
        }
    }

    /// What becomes of a client that wants this workspace, when services say this,
    /// one after the other.
    fn reason(
        self,
        rule: &Value,
        workspace: Option<&str>,
        answers: &[CallAnswer],
    ) -> Option<Reason> {
        let worker = Worker::new(&json!({"lifetime": {"push": true}, "authorize": [rule]}));
        let mut answers = answers.iter();
        let (mut pending, id, _) = worker.waits(&self.arrival(workspace));
        pending.on_answer(id, answers.next().unwrap());
        let mut admitted = pending.advance();
        while admitted.is_none() {
            pending.on_answer(worker.call().0, answers.next().unwrap());
            admitted = pending.advance();
        }
        let admitted = admitted.unwrap();
        if admitted.reason.is_some() || !matches!(self, Self::Message) {
            return admitted.reason;
        }
        let mut session = session(admitted);
        assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
        let (host, guard) = (Rc::clone(&worker.host), Rc::clone(&worker.guard));
        let mut rig = Rig { host, guard, session };
        rig.pushed();
        let mut message = json!({"type": "open", "workspaceId": workspace});
        if workspace.is_none() {
            message.as_object_mut().unwrap().remove("workspaceId");
        }
        let message = text(&message.to_string());
        let at_once = rig.client(&message);
        if at_once.refused.is_none() && rig.session.is_waiting() {
            assert_eq!(at_once.bytes, b"", "nothing before its verdict");
            rig.session.on_answer(worker.call().0, answers.next().unwrap());
            let refused = rig.session.advance().refused;
            assert!(refused.is_some() || rig.turn() == message);
            return refused;
        }
        assert_eq!(at_once.bytes == message, at_once.refused.is_none());
        at_once.refused
    }
}

/// What the session service says of alice with these workspaces.
fn alice_in(workspaces: &Value) -> CallAnswer {
    let mut alice = alice();
    match workspaces {
        Value::Null => drop(alice.as_object_mut().unwrap().remove("workspaces")),
        some => alice["workspaces"] = some.clone(),
    }
    answer(200, &alice.to_string())
}

#[test]
fn a_claim_lets_into_the_workspaces_that_it_holds_and_no_others() {
    for way in WAYS {
        let rule = json!({"from": way.from(), "claim": "workspaces"});
        for (workspaces, asked, granted) in [
            (json!(["red", "green"]), Some("green"), true),
            (json!("green"), Some("green"), true),
            (json!("red green"), Some("green"), true),
            (json!(["red", "green"]), Some("yellow"), false),
            (json!(["red", "green"]), Some("Green"), false),
            (json!(["red", "green"]), Some("gree"), false),
            (json!("greenish"), Some("green"), false),
            (json!(["red", "green"]), None, false),
            (json!([]), Some("green"), false),
            (json!(null), Some("green"), false),
            (json!({"green": true}), Some("green"), false),
            (json!([["green"]]), Some("green"), false),
            (json!([{"id": "green"}]), Some("green"), false),
            (json!(true), Some("true"), false),
            (json!([true]), Some("true"), false),
            (json!(7), Some("green"), false),
        ] {
            let reason = way.reason(&rule, asked, &[alice_in(&workspaces)]);
            let expected = (!granted).then_some(Reason::AccessDenied);
            assert_eq!(reason, expected, "{way:?} {asked:?} in {workspaces}");
        }
    }
}

#[test]
fn a_service_lets_into_the_workspaces_that_it_says_yes_for() {
    let denied = Some(Reason::AccessDenied);
    let unavailable = Some(Reason::AuthUnavailable);
    for way in WAYS {
        let path = format!("/members/{{{}}}/{{sub}}", way.name());
        let rule = json!({"from": way.from(), "callout": {"cluster": "members", "path": path}});
        for (said, asked, expected) in [
            (answer(200, ""), Some("green"), None),
            (answer(204, ""), Some("green"), None),
            (answer(401, ""), Some("green"), denied),
            (answer(403, ""), Some("green"), denied),
            (answer(404, ""), Some("green"), denied),
            (answer(500, ""), Some("green"), unavailable),
            (CallAnswer::Reset, Some("green"), unavailable),
            (answer(200, ""), None, denied),
            (answer(200, ""), Some(".."), denied),
        ] {
            let reason = way.reason(&rule, asked, &[yes(), said.clone()]);
            assert_eq!(reason, expected, "{way:?} {asked:?}: {said:?}");
        }
    }
}

/// The contract's case: a user only gets into a workspace that they belong to, and
/// the application hears which one from us alone.
#[test]
fn the_application_hears_of_the_workspace_from_the_claim() {
    let worker = Worker::new(&json!({
        "authorize": [{"from": {"query": "workspaceId"}, "claim": "workspace"}],
        "identity_headers": {"x-user-id": "sub", "x-workspace-id": "workspace"},
    }));
    let with_workspace = |workspace: Value| {
        let mut alice = alice();
        alice["workspace"] = workspace;
        answer(200, &alice.to_string())
    };
    let mut asks = at("/ws?workspaceId=red");
    let mut lines: Vec<_> =
        asks.head.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    for forged in ["x-workspace-id", "x_workspace_id", "X-User-Id"] {
        lines.push((forged.to_lowercase(), b"yellow".to_vec()));
    }
    asks.head.headers = wsguard::handshake::Headers::new(lines);
    let admitted = worker.decided(&asks, &with_workspace(json!("red")));
    let Admission::Guarded(_, edits) = admitted.admission else { panic!("{:?}", admitted.reason) };
    for (name, value) in [("x-workspace-id", "red"), ("x-user-id", "alice")] {
        let set: Vec<_> = edits.set.iter().filter(|(set, _)| set == name).collect();
        assert_eq!(set, [&(name.to_owned(), value.as_bytes().to_vec())]);
    }
    assert!(edits.remove.contains(&"x_workspace_id".to_owned()));
    for (workspace, reason) in [
        (json!("green"), Reason::AccessDenied),
        (json!(null), Reason::AccessDenied),
        (json!(true), Reason::AccessDenied),
        // It may have it, and no header can say so.
        (json!(["red", "green"]), Reason::CredentialsInvalid),
    ] {
        let told = refusal(worker.decided(&asks, &with_workspace(workspace.clone())));
        assert_eq!(told.0, reason, "{workspace}");
    }
}
