//! What a client must pass that says who it is in its first message: until that
//! has been verified, its messages and the server's are held.

use super::admission;
use super::content::write_message;
use super::expiry::Expiry;
use super::forward::Forward;
use super::pings::Payload;
use super::{Forwarded, Outcome, Phase, Session};
use crate::auth::first_message::{FirstMessageRules, Forwarding, Reading};
use crate::auth::{
    AskedFor, Attempt, AuthError, AuthRules, AwaitedCredential, Identity, Presented, asked_by,
    check_asked,
};
use crate::config::Mode;
use crate::frame::{Opcode, Sender};
use crate::host::{CallAnswer, CallId};
use crate::message::budget::{Budget, Charge, Exhausted};
use crate::message::{MessageType, Violation};
use crate::reason::Reason;
use std::collections::BTreeSet;
use std::rc::Rc;

/// What the server is told when a client leaves that never said who it is
/// (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1001;

/// Most different things that a client's messages may ask for before it is known
/// who it is. Each is at most 1 KiB.
const MAX_ASKED: usize = 1024;

/// Where the client stands.
#[derive(Debug)]
pub(super) struct Gate {
    awaited: AwaitedCredential,
    /// Its credential is being verified.
    attempt: Option<Attempt>,
    /// What the message asks for that carried it, which is verified with it.
    said: Vec<AskedFor>,
    /// Number of server messages that have passed as greeting.
    greeted: u32,
    /// Text that the client is sent once the credential has been verified.
    ack: Option<Vec<u8>>,
    /// What its other messages so far ask for, which a claim must grant.
    asked: BTreeSet<AskedFor>,
    charge: Charge,
    /// The client's last Pong to a Ping of the server's, which has not gone up.
    owed_pong: Option<Payload>,
    /// Mode report: it has been told what enforce would have done.
    reported: bool,
}

/// What becomes of a message, as the gate reads it.
#[derive(Debug)]
pub(super) enum Passage {
    /// It goes on as it is, or is held so.
    AsItIs,
    /// It goes on at once.
    AtOnce,
    /// It goes on at once, but behind others of its kind that wait for a rate.
    Greeting,
    /// It goes on at once, and others that came before it are held.
    Ahead,
    /// It goes on with this content.
    Instead(Vec<u8>),
    /// It goes nowhere.
    Nowhere,
}

impl Gate {
    /// [`Exhausted`] where the worker can hold no more.
    pub(super) fn new(awaited: AwaitedCredential, budget: &Rc<Budget>) -> Result<Self, Exhausted> {
        let mut charge = Charge::new(budget);
        charge.grow(awaited.bytes())?;
        Ok(Self {
            awaited,
            attempt: None,
            said: Vec::new(),
            greeted: 0,
            ack: None,
            asked: BTreeSet::new(),
            charge,
            owed_pong: None,
            reported: false,
        })
    }

    /// Whether the credential is still to come.
    pub(super) const fn awaits(&self) -> bool {
        self.attempt.is_none() && !self.reported
    }

    /// Keeps what a message of the client asks for until it is known who that is:
    /// what is held is not read again. What services are asked about goes with the
    /// message.
    fn keep_asked(
        &mut self,
        rules: &AuthRules,
        message: &[u8],
    ) -> Result<Vec<AskedFor>, Violation> {
        if self.reported {
            return Ok(Vec::new());
        }
        let asked = asked_by(rules, message).map_err(Violation::Credential)?;
        let is_for_a_service = |asked: &AskedFor| rules.is_for_a_service(asked);
        let (for_services, for_claims): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(is_for_a_service);
        for asked in for_claims {
            if self.asked.contains(&asked) {
                continue;
            }
            if self.asked.len() >= MAX_ASKED {
                return Err(Violation::QueueFull(Reason::Overloaded));
            }
            let bytes = asked.1.len().saturating_add(size_of::<AskedFor>());
            self.charge.grow(bytes).map_err(|_| Violation::Overloaded)?;
            self.asked.insert(asked);
        }
        Ok(for_services)
    }

    /// The same of the message that carries the credential: it is part of what is
    /// verified. One that is swallowed can ask for nothing in a form that rules don't
    /// read: no other reader ever sees it.
    fn keep_said(
        &mut self,
        rules: &AuthRules,
        message: &[u8],
        forward: &Forwarding,
    ) -> Result<(), Violation> {
        let said = match (asked_by(rules, message), forward) {
            (Err(AuthError::UnreadMessage), Forwarding::Swallow) => Vec::new(),
            (said, _) => said.map_err(Violation::Credential)?,
        };
        let bytes = said.iter().map(|(_, value)| value.len() + size_of::<AskedFor>()).sum();
        self.charge.grow(bytes).map_err(|_| Violation::Overloaded)?;
        self.said = said;
        Ok(())
    }

    /// Keeps a Pong of the client until it is known who that is.
    pub(super) const fn owe_pong(&mut self, payload: Payload) {
        self.owed_pong = Some(payload);
    }

    /// Mode report: what the client sends is not read any more. A credential that has
    /// not come will not be found, which is no fault of the client's.
    pub(super) fn read_no_more(&mut self) {
        if self.attempt.is_none() {
            self.reported = true;
            self.discard();
        }
    }

    /// Gives back what was kept: nothing of what is held will go on.
    pub(super) fn discard(&mut self) {
        (self.asked, self.said) = (BTreeSet::new(), Vec::new());
        self.charge.release();
    }

    /// Reads a whole message of `sender`, and what services are to be asked about
    /// before it goes on.
    pub(super) fn read(
        &mut self,
        (rules, first): (&AuthRules, &FirstMessageRules),
        (sender, kind): (Sender, MessageType),
        message: &[u8],
    ) -> Result<(Passage, Vec<AskedFor>), Violation> {
        if sender == Sender::Server {
            return Ok((self.read_server(first, kind, message), Vec::new()));
        }
        let is_text = kind == MessageType::Text;
        let passage = if !self.awaits() {
            first.cut_out(is_text, message).map_or(Passage::AsItIs, Passage::Instead)
        } else {
            match first.read(is_text, message) {
                Reading::Heartbeat => Passage::AtOnce,
                // Binary, say: some readers take it for text.
                Reading::Other => {
                    first.cut_out(is_text, message).map_or(Passage::AsItIs, Passage::Instead)
                }
                Reading::Malformed(error) => return Err(Violation::Credential(error)),
                Reading::Credential { credential, forward, ack } => {
                    if let Err(violation) = self.keep_said(rules, message, &forward) {
                        // It is decided: in mode report nothing more is told of it.
                        self.reported = true;
                        self.discard();
                        return Err(violation);
                    }
                    self.attempt = Some(Attempt::new(Presented::of_message(credential)));
                    self.ack = ack;
                    let passage = match forward {
                        Forwarding::AsItIs => Passage::AsItIs,
                        Forwarding::Instead(content) => Passage::Instead(content),
                        Forwarding::Swallow => Passage::Nowhere,
                    };
                    return Ok((passage, Vec::new()));
                }
            }
        };
        Ok((passage, self.keep_asked(rules, message)?))
    }

    /// Decides whether a server message passes before the credential has been verified.
    fn read_server(
        &mut self,
        first: &FirstMessageRules,
        kind: MessageType,
        message: &[u8],
    ) -> Passage {
        if self.greeted < first.greeting() {
            self.greeted += 1;
            return Passage::Greeting;
        }
        let passes = kind == MessageType::Text && first.passes_before(message);
        if passes { Passage::AtOnce } else { Passage::AsItIs }
    }
}

impl Session {
    /// Whether somebody else's answer is waited for: about its credential, or about
    /// what its messages ask for.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_verifying() || self.is_asking()
    }

    fn is_verifying(&self) -> bool {
        let ended = !matches!(self.phase, Phase::Open(_) | Phase::Unseen(_));
        !ended && self.gate.as_ref().is_some_and(|gate| gate.attempt.is_some() && !gate.reported)
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        let attempt = self.gate.as_mut().and_then(|gate| gate.attempt.as_mut());
        attempt.is_some_and(|attempt| attempt.on_answer(id, answer))
            || self.asking.on_answer(id, answer)
    }

    /// Verifies the first message's credential, and asks for what messages ask
    /// for, as far as that can be done now; to be called when an answer has come,
    /// and on every short tick while [`Self::is_waiting`]. There may be something to
    /// push afterwards.
    pub fn advance(&mut self) -> Outcome {
        let outcome = self.proceed();
        self.ask_for_turn();
        outcome
    }

    fn proceed(&mut self) -> Outcome {
        let verified = self.verify();
        if verified.refused.is_some() { verified } else { self.inquire() }
    }

    fn verify(&mut self) -> Outcome {
        let goes_on = Outcome::forward(Forwarded::Unchanged);
        // What has ended in the meantime is opened by no answer.
        if !self.is_verifying() {
            return goes_on;
        }
        let guard = Rc::clone(&self.guard);
        let Some(policy) = guard.policy(self.policy) else { return goes_on };
        let (Some(rules), Some(gate)) = (&policy.auth, &mut self.gate) else { return goes_on };
        let Some(attempt) = &mut gate.attempt else { return goes_on };
        let desk = guard.desk(self.policy, self.about.ip);
        let verified = attempt.advance(rules, gate.awaited.wish(&gate.said), desk);
        if matches!(verified, Ok(false)) {
            return goes_on;
        }
        let identity = attempt.identity().cloned();
        if let Some(identity) = &identity {
            admission::name(&mut self.about, identity);
        }
        let user = identity.as_ref().and_then(|identity| identity.user.clone());
        let admitted = match (verified, identity) {
            (Ok(_), None) => return goes_on,
            (Ok(_), Some(identity)) => self.admit_user(identity),
            (Err(error), _) => Err((error.reason(), error.to_string())),
        };
        let Err((reason, detail)) = admitted else { return self.release_all() };
        if let Some(gate) = &mut self.gate {
            gate.reported = true;
            gate.discard();
        }
        self.asking.discard();
        self.guard.strike(self.policy, reason, &self.about, user.as_deref());
        self.end_for(reason, Some(detail))
    }

    /// The client has sent something, which waits for somebody else's answer, or
    /// for its credential.
    pub(super) fn while_waiting(
        &mut self,
        refused: Option<Reason>,
        mut forward: Forward<'_>,
    ) -> Outcome {
        let mut ended = Outcome::forward(Forwarded::Unchanged);
        if self.is_waiting() {
            ended = self.proceed();
        } else if self.client.close_seen().is_some() && self.mode() == Mode::Enforce {
            self.leave();
        }
        self.flush(Sender::Server, &mut forward);
        Outcome { refused, ..Outcome::forward(forward.finish()) }.and(ended)
    }

    /// The client has left without saying who it is.
    fn leave(&mut self) {
        let code = self.client.close_seen().and_then(|close| close.code).unwrap_or(1000);
        let key = self.key_towards(Sender::Server);
        self.discard();
        self.outboxes.client.close(code, "", None);
        self.outboxes.server.close(GOING_AWAY, "", key);
        if let Phase::Open(opened) = self.phase {
            self.phase = Phase::Closing { opened, since: self.guard.monotonic() };
        }
    }

    /// The client is who it says: the last checks, and then all that is held
    /// may go on.
    fn admit_user(&mut self, identity: Identity) -> Result<(), (Reason, String)> {
        let guard = Rc::clone(&self.guard);
        let Some(policy) = guard.policy(self.policy) else { return Ok(()) };
        let user = identity.user.as_deref();
        let denied = |reason, detail: String| Err((reason, detail));
        if let Err(banned) = guard.check_user_ban(policy, user) {
            return denied(Reason::Banned, banned.to_string());
        }
        if let (Some(gate), Some(rules)) = (&self.gate, &policy.auth) {
            let desk = guard.desk(self.policy, self.about.ip);
            let check = |asked| check_asked(rules, &identity, asked, desk).map(|_| ());
            if let Err(error) = gate.asked.iter().try_for_each(check) {
                return denied(error.reason(), error.to_string());
            }
        }
        match guard.take_user_quota(policy, user) {
            Ok(permit) => self.user_permit = Some(permit),
            Err(exceeded) => return denied(exceeded.reason(), exceeded.to_string()),
        }
        self.expiry = Expiry::of(Some(&identity), policy.auth.as_ref());
        self.user = identity.user.clone();
        let (ack, pong) = match self.gate.take() {
            Some(gate) => (gate.ack, gate.owed_pong),
            None => (None, None),
        };
        if let Some(pong) = pong {
            let mut frame = Vec::new();
            pong.write(Opcode::Pong, self.key_towards(Sender::Server), &mut frame);
            self.outboxes.server.add(&frame);
        }
        self.tell_opened(Some(&identity.key_id), Some(identity.authenticated_at), None);
        if let (Some(ack), Mode::Enforce) = (ack, policy.mode) {
            let mut frame = Vec::new();
            write_message(MessageType::Text, &ack, None, &mut frame);
            self.outboxes.client.add(&frame);
        }
        self.identity = policy
            .auth
            .as_ref()
            .is_some_and(AuthRules::asks_in_messages)
            .then(|| Box::new(identity));
        Ok(())
    }
}
