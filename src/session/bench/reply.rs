//! The answer that a client gets in the place of a message (`reply`).

use super::{Bench, InItsPlace};
use crate::frame::Sender;
use crate::message::MessageType;
use crate::reason::Reason;
use crate::session::content::write_message;
use serde::Serialize;

/// Content of the text message that a client gets.
#[derive(Serialize)]
struct Reply<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    reason: &'a str,
    detail: &'a str,
}

impl Bench<'_> {
    /// Answers the client: in the place of what the server sent, or when
    /// something can next be written to it.
    pub(super) fn reply(&mut self, reason: Reason, detail: &str) {
        let reply = Reply { kind: "error", reason: reason.name(), detail };
        let text = serde_json::to_vec(&reply).unwrap_or_default();
        let mut frame = Vec::new();
        write_message(MessageType::Text, &text, None, &mut frame);
        self.in_its_place = match self.sender {
            Sender::Server => InItsPlace::Message(frame),
            Sender::Client => {
                self.outboxes.client.add(&frame);
                let asked =
                    self.guard.policy(self.policy).is_some_and(|policy| policy.lifetime.push);
                let client = &self.outboxes.client;
                let needs_none = asked && client.is_open() || client.is_sealed();
                if needs_none { InItsPlace::Nothing } else { InItsPlace::Ping }
            }
        };
    }
}
