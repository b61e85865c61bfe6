//! What does not go together, each part being right by itself.

use std::fmt;

/// Parts of the document that contradict one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// A cookie credential without `origins`.
    CookieWithoutOrigins,
    /// A cookie credential with an origin of `origins` that is anybody's.
    CookieWithAnyOrigin,
    /// `exact` without `paths`.
    ExactAlone,
    /// `same-origin` where the host is not bound.
    SameOriginOfAnyHost,
    /// `missing_origin` without `origins`.
    MissingOriginAlone,
    /// A first message before another place.
    FirstMessageNotLast,
    /// Another first message.
    SecondFirstMessage {
        /// Where the first one stands.
        first: String,
    },
    /// `deadline` without a first message.
    DeadlineAlone,
    /// `identity_headers` with a first message.
    HeadersHaveGone,
    /// The `socketio` preset where long polling passes.
    PollingPasses,
    /// Nothing that could verify the credentials.
    NoVerifier,
    /// `scheme` beside another place than the header `authorization`.
    SchemeAlone,
    /// `encoding` beside another place than a subprotocol's prefix.
    EncodingAlone,
    /// The Basic scheme without `api_keys`.
    BasicWithoutKeys,
    /// A subprotocol could hold the credential of this place and of an earlier one.
    SameSubprotocol {
        /// The earlier place.
        first: String,
    },
    /// `max_frame` above `max_message`.
    FrameAboveMessage,
    /// `buffered_per_ip` above `buffered_per_worker`.
    AddressAboveWorker,
    /// `buffered_per_ip` in which two messages of the largest size do not fit.
    AddressBelowMessages,
    /// `per_user` where no credential names a user.
    PerUserWithoutAuth,
    /// `by: [user]` where no credential names a user.
    BanUserWithoutAuth,
    /// A weight for what no client can be blamed for.
    NoStrike,
    /// Rules look for more members of one object of a message than it takes bounded work to.
    ManyMembers {
        /// The object, or list, as a pointer.
        place: String,
        /// Number of members that the rules look for.
        members: usize,
        /// Largest number that is allowed.
        most: usize,
    },
    /// `ipv6_prefix` with nothing that counts addresses.
    Ipv6PrefixAlone,
    /// An identity header that is also where a credential stands.
    IdentityIsCredential {
        /// The policy whose credential it is.
        policy: usize,
    },
    /// A policy behind another one that matches all it could match.
    NeverReached {
        /// The earlier policy.
        earlier: usize,
    },
    /// What the filter can only do where it writes to the client unasked.
    NeedsPush,
    /// A shared secret's algorithm where keys are published.
    SecretIsPublished,
    /// Values that no token has in this claim.
    ClaimNeverHolds(NeverHolds),
    /// `send: cookie` where no credential stands in a cookie.
    SendsNoCookie,
    /// The client's credential and our own in the same header.
    TwoAuthorizations,
    /// `when` beside something else than `message`.
    WhenWithoutMessage,
    /// Pointers of one rule into an object and into a list.
    PointersUnlike {
        /// True if `message` begins with an index.
        index: bool,
    },
    /// `other_messages` where nothing is read in messages.
    OtherMessagesAlone,
    /// A path without a variable.
    NothingAsked,
    /// A variable that nothing gives a value.
    UnknownVariable {
        /// The variable.
        name: String,
        /// Those that have one, in braces.
        known: Vec<String>,
    },
    /// What `filter: stream` can't do.
    Stream(NotInStream),
}

/// Why a claim can hold none of the values that are wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NeverHolds {
    /// `iss` is another one.
    Issuer,
    /// It is a number in every token.
    Date,
    /// It has nothing inside.
    NothingInside,
}

/// Why something is for `filter: http` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotInStream {
    /// It lets something through that is no guarded upgrade.
    Unguarded,
    /// It answers in upstream's place; with the word that does not.
    Answers(&'static str),
    /// It writes to the client unasked.
    Pushes,
    /// It needs another protocol towards upstream.
    Http2,
    /// It holds messages until an answer has come.
    Holds,
}

impl fmt::Display for NotInStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unguarded => f.write_str(
                "does not go with filter: stream, where the first request on a connection must be \
                 an accepted upgrade; write `reject`",
            ),
            Self::Answers(word) => write!(
                f,
                "does not go with filter: stream, which can answer nothing before upstream has: a \
                 refused handshake is a closed connection; write `{word}`"
            ),
            Self::Pushes => f.write_str(
                "does not go with filter: stream: a network filter can write only where bytes \
                 pass; write `false`",
            ),
            Self::Holds => f.write_str(
                "does not go with filter: stream: a network filter can't let go what it holds \
                 when the answer has come; write filter: http, or remove this",
            ),
            Self::Http2 => f.write_str(
                "does not go with filter: stream, which sends upstream what the client speaks, \
                 HTTP/1.1; write `http1`",
            ),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(why) => why.fmt(f),
            Self::NeedsPush => f.write_str(
                "needs lifetime.push, by which the filter writes to the client unasked; write \
                 `push: true` (and the buffer limits that go with it), or remove this",
            ),
            Self::CookieWithoutOrigins => f.write_str(
                "a browser sends cookies along with a WebSocket that any web page opens \
                 (cross-site WebSocket hijacking); write handshake.origins with the origins of \
                 your own pages",
            ),
            Self::CookieWithAnyOrigin => f.write_str(
                "a browser sends cookies along with a WebSocket that any web page opens \
                 (cross-site WebSocket hijacking), and handshake.origins allows every page by \
                 \"*\", by \"null\", which a sandboxed frame of any page has, by \"file://\", which \
                 any page saved to disk has, or by a wildcard right below a top-level domain; \
                 write the origins of your own pages there",
            ),
            Self::ExactAlone => f.write_str(
                "has no effect without `paths`, since every path is matched; write those too, or \
                 remove it",
            ),
            Self::SameOriginOfAnyHost => f.write_str(
                "lets in the pages of every name that leads to this address, an attacker's own, \
                 too (DNS rebinding), where match.hosts does not say which names are yours; \
                 write match.hosts with them (none like \"*.com\"), or the origins of your pages \
                 in its place",
            ),
            Self::MissingOriginAlone => {
                f.write_str("has no effect without `origins`; write those too, or remove it")
            }
            Self::FirstMessageNotLast => f.write_str(
                "comes after the handshake, and so after every other place: the first that holds \
                 a credential decides; write it as the last of the credentials",
            ),
            Self::SecondFirstMessage { first } => write!(
                f,
                "is another first message beside {first}, and there is only one that is first; \
                 keep one, or write a policy for each kind of client"
            ),
            Self::DeadlineAlone => f.write_str(
                "has no effect without a `first_message` in `credentials`; write that too, or \
                 remove it",
            ),
            Self::HeadersHaveGone => f.write_str(
                "does not go with a first_message: the upgrade and its headers have gone to \
                 upstream before the client is known; remove this, or the first_message",
            ),
            Self::PollingPasses => f.write_str(
                "does not go with handshake.plain_http: pass, by which Socket.IO's long polling \
                 would reach upstream unseen; write plain_http: reject (and transports: \
                 [\"websocket\"] in the clients)",
            ),
            Self::NoVerifier => f.write_str(
                "has credentials and nothing to verify them with; write `jwt`, `api_keys` or `session`",
            ),
            Self::SchemeAlone => f.write_str(
                "is of the header `authorization` only, other headers are read as they are; write \
                 {header: authorization, scheme: …}, or remove it",
            ),
            Self::EncodingAlone => f.write_str(
                "is of `subprotocol_prefix` only, other places are read as they are; remove it",
            ),
            Self::BasicWithoutKeys => f.write_str(
                "names an API key by its id, and there is none; write `api_keys`, or remove this",
            ),
            Self::SameSubprotocol { first } => write!(
                f,
                "begins like {first}, so one subprotocol would stand in both places; write \
                 prefixes that differ, or keep one"
            ),
            Self::PerUserWithoutAuth => f.write_str(
                "has no effect without `auth`, since nobody is known by name; write that too, or \
                 remove it",
            ),
            Self::BanUserWithoutAuth => f.write_str(
                "has `user`, and without `auth` nobody is known by name; write that too, or only \
                 `ip`",
            ),
            Self::NoStrike => f.write_str(
                "can be no strike: it is no fault of the client's, or a ban itself; remove it",
            ),
            Self::ManyMembers { place, members, most } => write!(
                f,
                "look for {members} different members of {} in messages, and at most {most} can be \
                 looked for in the time that a message may take; let rules share members, or write a \
                 callout whose service is told one of them",
                if place.is_empty() { "the whole object or list" } else { place.as_str() },
            ),
            Self::Ipv6PrefixAlone => f.write_str(
                "has no effect without `per_ip` or a service that `auth` asks, which count addresses \
                 by it; write one too, or remove it",
            ),
            Self::SecretIsPublished => f.write_str(
                "is signed with a shared secret, which nobody publishes: whoever reads it could \
                 sign; remove it, or write keys.secret",
            ),
            Self::ClaimNeverHolds(why) => f.write_str(match why {
                NeverHolds::Issuer => {
                    "can never hold: `iss` of these tokens is `issuer`; remove it, or write that"
                }
                NeverHolds::Date => {
                    "can never hold: this claim is a number in every token; write one, or remove it"
                }
                NeverHolds::NothingInside => {
                    "can never hold: this claim is a text or a number in every token, with nothing \
                     inside; write a pointer to another claim"
                }
            }),
            Self::SendsNoCookie => f.write_str(
                "shows the service a cookie, and no credential stands in one; write {cookie: …} \
                 into credentials, or `bearer` or `form` here",
            ),
            Self::TwoAuthorizations => f.write_str(
                "goes into the Authorization header, where send: bearer puts the client's \
                 credential; write send: form, or remove it",
            ),
            Self::WhenWithoutMessage => {
                f.write_str("says which messages are meant; write it beside `message` only")
            }
            Self::PointersUnlike { index } => write!(
                f,
                "begins with {}, and `when` otherwise: a message is a list or an object, so no \
                 message would be read; write pointers that all begin with an index (/0/room), or \
                 all with a name (/room)",
                if *index { "an index" } else { "a name" }
            ),
            Self::OtherMessagesAlone => f.write_str(
                "has no effect without `from: {message: …}` in `authorize`; write that too, or \
                 remove it",
            ),
            Self::NothingAsked => f.write_str(
                "has no variable, and so nothing that could be asked for; write one, like \
                 /rooms/{room}",
            ),
            Self::UnknownVariable { name, known } => write!(
                f,
                "has {{{name}}}, which nothing gives a value; write {} or {{sub}}",
                known.join(", ")
            ),
            Self::FrameAboveMessage => f.write_str(
                "is above max_message, and no frame is larger than its message; write at most \
                 max_message (1MiB where it is not written), or raise that",
            ),
            Self::AddressAboveWorker => f.write_str(
                "is above buffered_per_worker, of which it is a part; write at most that (256MiB \
                 where it is not written), or raise that",
            ),
            Self::AddressBelowMessages => f.write_str(
                "is less than two messages of the largest max_message, so that one client could \
                 not be held in both directions; write at least twice the largest max_message of \
                 all policies (1MiB where it is not written), or lower that",
            ),
            Self::IdentityIsCredential { policy } => write!(
                f,
                "is where policies[{policy}] looks for a credential, and identity headers are \
                 removed from what clients send; write another header"
            ),
            Self::NeverReached { earlier } => write!(
                f,
                "is never reached, since policies[{earlier}] matches all of it before; remove it, \
                 or put it first and make its match narrower"
            ),
        }
    }
}
