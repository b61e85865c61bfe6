//! A session before `tcp_proxy`: the heads come as bytes, and the rest of the
//! connection is the session's.
//!
//! What HTTP would answer is told here by closing the connection, with the same
//! event and metric. The first request on a connection must be an accepted
//! upgrade, and there is no second one:
//!
//! ```text
//! Request ─ admit ─► Answer ─ on_response ─► Tunnel ⇄
//!    │ └─► Waiting ──► │            └► Answered ─► Over   (3xx to 5xx)
//!    └────────┴────────┴─► Over                           (refused)
//! ```
//!
//! - **Request**: nothing goes on before the head is complete and judged.
//! - **Waiting**: the head is held until somebody else has answered who the
//!   client is. What the client sends meanwhile is refused.
//! - **Answer**: the head has gone on with its edits. What the client sends
//!   before the answer is refused. Upstream has `handshake.upstream_timeout`.
//! - **Answered**: upstream refused by itself. Its answer goes on, marked
//!   `connection: close`; nothing of the client does. The connection ends with
//!   the answer's last byte where `Content-Length` tells it, with upstream's own
//!   end, or after [`SILENCE_TIMEOUT`](super::SILENCE_TIMEOUT) without a byte.
//!
//! A client that stays although upstream has ended is closed after
//! [`CLOSE_TIMEOUT`].
//!
//! In mode report a request that would be refused, and plain HTTP, go on too:
//! that one request, with the body that its `Content-Length` announces. Heads
//! that can't be read, chunked bodies and bytes before the answer are refused in
//! report as well: what stands in them nobody would have looked at, and it could
//! be an identity header.

use super::admission::{self, Admission, Admitted, Arrival, admit_with};
use super::answered::Answered;
use super::{CLOSE_TIMEOUT, Forwarded, Opening, Outcome, Session};
use crate::config::Mode;
use crate::event::Kind;
use crate::frame::Sender;
use crate::guard::Guard;
use crate::handshake::HeadEdits;
use crate::http1::{HEAD_TIMEOUT, HeadError, Request, Response};
use crate::message::budget::Holder;
use parts::{Held, State};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use trouble::Trouble;

mod early;
mod give_way;
mod parts;
mod trouble;
mod waiting;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    /// The client address that Envoy trusts.
    pub source: Option<IpAddr>,
    /// Envoy's `connection.id`.
    pub connection: Option<u64>,
}

/// One connection, from its first byte on.
#[derive(Debug)]
pub struct StreamConnection {
    guard: Rc<Guard>,
    /// Account of the bytes that it and its session hold.
    holder: Rc<Holder>,
    peer: Peer,
    https: bool,
    state: State,
    session: Option<Session>,
    /// The policy that matched its request.
    policy: Option<usize>,
    /// Mode report: bytes of the request's body that are still due.
    body_bytes_left: u64,
    /// When upstream had sent its last byte, by the steady clock.
    upstream_ended: Option<Duration>,
    reason_told: bool,
    /// A request that has no session was counted as refused or reported.
    counted: bool,
}

impl StreamConnection {
    /// A connection that has just been accepted.
    #[must_use]
    pub fn new(guard: Rc<Guard>, peer: Peer) -> Self {
        let holder = guard.holder(peer.source);
        let held = Held::new(&guard, &holder);
        Self {
            guard,
            holder,
            peer,
            https: false,
            state: State::Request(held),
            session: None,
            policy: None,
            body_bytes_left: 0,
            upstream_ended: None,
            reason_told: false,
            counted: false,
        }
    }

    /// Whether the request has still to be judged.
    #[must_use]
    pub const fn awaits_request(&self) -> bool {
        matches!(self.state, State::Request(_))
    }

    /// Says whether the client's connection is TLS; to be called before the
    /// request is judged.
    pub const fn set_https(&mut self, https: bool) {
        self.https = https;
    }

    /// Name of the policy that matched.
    #[must_use]
    pub fn policy_name(&self) -> Option<&str> {
        self.policy.and_then(|index| self.guard.policy(index)).map(|p| p.name.as_str())
    }

    /// Whom the credential names.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.session.as_ref().and_then(Session::user)
    }

    /// Takes the next bytes that `sender` sent; `ends` when they are its last.
    /// When the answer is [`Forwarded::Replaced`], what goes on in their place
    /// has been appended to `out`. A reason is given once per connection.
    pub fn on_data(
        &mut self,
        sender: Sender,
        input: &[u8],
        ends: bool,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let outcome = self.route(sender, input, ends, out);
        if ends {
            self.on_transport_end(sender);
        }
        if ends && sender == Sender::Server {
            self.upstream_ended.get_or_insert(self.guard.monotonic());
        }
        self.settle(outcome)
    }

    fn route(&mut self, sender: Sender, input: &[u8], ends: bool, out: &mut Vec<u8>) -> Outcome {
        match (&mut self.state, sender) {
            (State::Request(_), Sender::Client) => self.read_request(input, ends, out),
            (State::Request(_), Sender::Server) if input.is_empty() => unchanged(),
            (State::Request(_), Sender::Server) => self.give_up(Trouble::Unasked),
            (State::Waiting(_), _) => self.while_waiting(sender, input, ends),
            (State::Answer(_), Sender::Client) => self.before_the_answer(input, out),
            (State::Answer(_), Sender::Server) => self.read_answer(input, ends, out),
            (State::Tunnel, _) => match &mut self.session {
                Some(session) => session.on_data(sender, input, out),
                None => unchanged(),
            },
            (State::Answered(answered), Sender::Server) => answered.pass(&self.guard, input, out),
            (State::Answered(_), Sender::Client) => self.behind_the_answer(input, out),
            (State::Over, _) => Outcome::forward(Forwarded::Replaced),
        }
    }

    /// Says that this end has ended its TCP connection.
    pub fn on_transport_end(&mut self, sender: Sender) {
        if let Some(session) = &mut self.session {
            session.on_transport_end(sender);
        }
    }

    /// To be called on every tick: whether to close the connection now, and why
    /// if that is news.
    pub fn on_tick(&mut self) -> Outcome {
        let now = self.guard.monotonic();
        let past = |since: Duration, limit| now.saturating_sub(since) >= limit;
        let outcome = match &self.state {
            State::Over => unchanged(),
            // TCP would leave the client's half open for as long as it likes.
            _ if self.upstream_ended.is_some_and(|since| past(since, CLOSE_TIMEOUT)) => {
                Outcome { reset: true, ..unchanged() }
            }
            State::Request(held) if past(held.since, HEAD_TIMEOUT) => {
                self.give_up(Trouble::RequestTimeout)
            }
            State::Answered(answered) => Outcome { reset: answered.is_over(now), ..unchanged() },
            State::Answer(_) if self.session.is_none() => self.tell_silence(now),
            State::Answer(_) | State::Tunnel => {
                self.session.as_mut().map_or_else(unchanged, Session::on_tick)
            }
            _ => unchanged(),
        };
        self.settle(outcome)
    }

    /// To be called when the connection has ended in whatever way.
    pub fn on_end(&mut self) {
        if let State::Waiting(waiting) = std::mem::replace(&mut self.state, State::Over) {
            waiting.1.on_end();
        }
        if let Some(mut session) = self.session.take() {
            session.on_end();
        }
    }

    fn read_request(&mut self, input: &[u8], ends: bool, out: &mut Vec<u8>) -> Outcome {
        let State::Request(held) = &mut self.state else { return self.over() };
        match held.push(input) {
            Ok(None) if ends => self.over(),
            Ok(None) => Outcome::forward(Forwarded::Replaced),
            Ok(Some((head, used))) => {
                let rest = input.get(used..).unwrap_or_default();
                match Request::parse(head) {
                    Ok(request) => self.judge(request, rest, out),
                    Err(error) => self.give_up(Trouble::Request(error)),
                }
            }
            Err(Some(error)) => self.give_up(Trouble::Request(error)),
            Err(None) => self.give_up(Trouble::Memory(Sender::Client)),
        }
    }

    fn judge(&mut self, request: Request, rest: &[u8], out: &mut Vec<u8>) -> Outcome {
        let arrival = Arrival {
            head: request.to_judge(self.peer.source, self.https),
            connection: self.peer.connection,
            request_id: None,
        };
        let admitted = admit_with(&self.guard, &arrival, Rc::clone(&self.holder));
        if matches!(admitted.admission, Admission::Pass(_)) && admitted.reason.is_none() {
            let outcome = self.not_an_upgrade(&arrival);
            if outcome.reset {
                return outcome;
            }
        }
        self.follow(request, admitted, rest, out)
    }

    /// The request has been judged, or waits for that.
    fn follow(
        &mut self,
        request: Request,
        admitted: Admitted,
        rest: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.policy = admitted.policy;
        self.counted |= admitted.reason.is_some();
        let edits = match admitted.admission {
            Admission::Refused(_) => {
                return Outcome { refused: admitted.reason, ..self.over() };
            }
            Admission::Waiting(_) if !rest.is_empty() => return self.give_up(Trouble::Early),
            Admission::Waiting(pending) => {
                self.state = State::Waiting(Box::new((request, *pending)));
                return Outcome::forward(Forwarded::Replaced);
            }
            Admission::Guarded(session, edits) => {
                self.session = Some(*session);
                edits
            }
            Admission::Pass(edits) => {
                let Some(body_bytes) = request.body_bytes() else {
                    return self.give_up(Trouble::Body);
                };
                self.body_bytes_left = body_bytes;
                edits
            }
        };
        self.state = State::Answer(Held::new(&self.guard, &self.holder));
        let mut body = Vec::new();
        let mut outcome = self.before_the_answer(rest, &mut body);
        if outcome.reset {
            return outcome;
        }
        // An edit holds what was judged, so none can break its line; should one
        // do so all the same, the head does not go on.
        if let Err(error) = request.write(&edits, out) {
            return self.give_up(Trouble::Request(error));
        }
        out.extend_from_slice(match outcome.forwarded {
            Forwarded::Unchanged => rest,
            Forwarded::Replaced => &body,
        });
        outcome.forwarded = Forwarded::Replaced;
        outcome.refused = outcome.refused.or(admitted.reason);
        outcome
    }

    /// Plain HTTP for which there is no policy, and so nothing was refused yet.
    fn not_an_upgrade(&mut self, arrival: &Arrival) -> Outcome {
        let about = admission::about(&self.guard, arrival);
        let enforce = self.guard.config().mode == Mode::Enforce;
        let kind = if enforce { Kind::Refused } else { Kind::Reported };
        let refused = Trouble::NotAnUpgrade.tell(&self.guard, None, kind, &about);
        Trouble::NotAnUpgrade.count(&self.guard, None, kind);
        self.counted = true;
        if enforce { Outcome { refused, ..self.over() } } else { unchanged() }
    }

    fn read_answer(&mut self, input: &[u8], ends: bool, out: &mut Vec<u8>) -> Outcome {
        let State::Answer(held) = &mut self.state else { return self.over() };
        let error = match held.push(input) {
            Ok(None) if ends => HeadError::Ended,
            Ok(None) => return Outcome::forward(Forwarded::Replaced),
            Ok(Some((head, used))) => {
                let rest = input.get(used..).unwrap_or_default();
                match Response::parse(head) {
                    Ok(response) => return self.judge_answer(&response, rest, out),
                    Err(error) => error,
                }
            }
            Err(Some(error)) => error,
            Err(None) => return self.give_up(Trouble::Memory(Sender::Server)),
        };
        self.give_up(Trouble::Answer(error))
    }

    fn judge_answer(&mut self, response: &Response, rest: &[u8], out: &mut Vec<u8>) -> Outcome {
        let opening = match &mut self.session {
            Some(session) => session.on_response(response.status(), &response.headers()),
            None => Opening::Pass,
        };
        let report = self.session.as_ref().is_none_or(|s| s.mode() == Mode::Report);
        let mut edits = HeadEdits::default();
        self.state = match opening {
            Opening::Refused(refusal) => {
                return Outcome { refused: Some(refusal.reason), ..self.over() };
            }
            Opening::Open(asked) => {
                edits = asked;
                State::Tunnel
            }
            Opening::Pass if response.status() == 101 => State::Tunnel,
            Opening::Pass | Opening::NoTunnel(_) => {
                if !report {
                    edits.set.push(("connection".to_owned(), b"close".to_vec()));
                }
                let left = response.body_bytes();
                State::Answered(Answered { left, since: self.guard.monotonic() })
            }
        };
        if let Err(error) = response.write(&edits, out) {
            return self.give_up(Trouble::Answer(error));
        }
        let mut outcome = self.route(Sender::Server, rest, false, out);
        if outcome.forwarded == Forwarded::Unchanged {
            out.extend_from_slice(rest);
            outcome.forwarded = Forwarded::Replaced;
        }
        outcome
    }

    /// Nothing more goes on in either direction.
    fn over(&mut self) -> Outcome {
        self.state = State::Over;
        Outcome { reset: true, ..Outcome::forward(Forwarded::Replaced) }
    }

    /// Nothing goes on after a reset, and the first reason stands.
    fn settle(&mut self, outcome: Outcome) -> Outcome {
        if outcome.reset {
            self.state = State::Over;
        }
        let refused = outcome.refused.filter(|_| !self.reason_told);
        self.reason_told |= refused.is_some();
        Outcome { refused, ..outcome }
    }
}

const fn unchanged() -> Outcome {
    Outcome::forward(Forwarded::Unchanged)
}

#[cfg(test)]
mod tests;
