//! What can be wrong, a variant per fact, in words that say what to write.
//!
//! Values of the document are in none of them, since what stands in the wrong
//! place may be a secret; keys, networks and names of variables are.

use super::relations::Relation;
use ipnet::IpNet;
use std::fmt;

/// Anything that is wrong at one place of the document.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Of the contract, and not built yet; with the word where only that is not.
    NotSupportedYet(Option<&'static str>),
    Written(Written),
    Shape(Shape),
    Amount(Amount),
    Name(Name),
    Secret(Secret),
    Relation(Relation),
    Network(Network),
    /// What another room says of what it was to read: hosts, keys and the like.
    Room(String),
    /// No regular expression, and why: one line.
    Pattern(String),
    /// One that matches the empty text.
    PatternMatchesEverything,
    /// The pattern that costs most of several that cost too much together.
    PatternTooDear {
        /// What it costs alone; `None` for more than is counted.
        steps: Option<usize>,
        limit: usize,
    },
    /// A pattern that can't be cut out at a bounded cost.
    CutTooLarge,
}

/// What is wrong with the text as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Empty,
    TooLong,
    /// Where and why the reader stopped, without what it read.
    NotJson(String),
}

/// A value of another kind, or keys that do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    Kind { found: &'static str, needed: &'static str },
    Word { known: Vec<&'static str> },
    UnknownKey { near: Option<&'static str>, known: &'static [&'static str] },
    UnknownReason { near: Option<&'static str> },
    Twice,
    Missing { write: &'static str },
    OneOf { known: &'static [&'static str] },
    OnlyOneOf { known: &'static [&'static str] },
    EmptyList,
    EmptyMap,
    EmptyText,
    TooManyItems { most: usize },
    TooLongText { most: usize },
    Repeated { first: String },
}

/// A number, size or duration that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    SizeForm,
    DurationForm,
    RateForm,
    ByteRateForm,
    Period,
    Zero,
    ZeroDuration,
    Negative,
    Fraction,
    Overflow,
    Inexact,
    AboveBound(&'static str),
    BelowBound(&'static str),
}

/// A text that is no name of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Label,
    KeyId,
    Token,
    WhiteSpace,
    ControlCharacter,
    Underscore,
    ReservedHeader,
    CookieHeader,
    Authority,
    Path,
    Cluster,
    Pointer,
    PointerKey,
    ClaimPointer,
}

/// A secret that cannot be had. The name of a variable is told only where it
/// looks like one: somebody may have written the secret in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    Literal,
    Form,
    VariableName,
    Unset { variable: Option<String> },
    Empty,
    LineBreak,
    Authorization,
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Form,
    HostBits(IpNet),
    Mapped,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupportedYet(_) => f.write_str("not supported yet"),
            Self::Written(fault) => fault.fmt(f),
            Self::Shape(fault) => fault.fmt(f),
            Self::Amount(fault) => fault.fmt(f),
            Self::Name(fault) => fault.fmt(f),
            Self::Secret(fault) => fault.fmt(f),
            Self::Relation(fault) => fault.fmt(f),
            Self::Network(fault) => fault.fmt(f),
            Self::Room(told) => f.write_str(told),
            Self::Pattern(cause) => write!(
                f,
                "is no regular expression: {cause}; correct it (there are no look-around and no \
                 back-references, so that matching stays linear)"
            ),
            Self::PatternMatchesEverything => f.write_str(
                "matches the empty text, and so every text; write what must be there, with + in \
                 the place of * and no empty alternative",
            ),
            Self::PatternTooDear { steps, limit } => {
                write!(
                    f,
                    "the patterns cost more than {limit} steps a byte together; the dearest one costs "
                )?;
                match steps {
                    Some(steps) => write!(f, "{steps}")?,
                    None => f.write_str("more than is counted")?,
                }
                f.write_str(
                    ": a count in {} takes as many copies of what it counts; write a smaller one \
                     or *, and (?-u) where only ASCII is meant",
                )
            }
            Self::CutTooLarge => f.write_str(
                "what it matches can't be cut out at a bounded cost; write * in the place of \
                 counts in {}, or another action than sanitize",
            ),
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; write at least `policies`"),
            Self::TooLong => f.write_str("is longer than 4MiB; split it over several plugins"),
            Self::NotJson(cause) => write!(f, "is not JSON: {cause}; correct it there"),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("has no value (null); write one, or remove the key"),
            Self::Kind { found, needed } => write!(f, "is {found}; write {needed}"),
            Self::Word { known } => write!(f, "is no known word; write {}", one_of(known)),
            Self::UnknownKey { near: Some(near), .. } => {
                write!(f, "is no known key; did you mean `{near}`?")
            }
            Self::UnknownKey { near: None, known } => {
                write!(f, "is no known key; known here: {}", known.join(", "))
            }
            Self::UnknownReason { near: Some(near) } => {
                write!(f, "is no known reason; did you mean `{near}`?")
            }
            Self::UnknownReason { near: None } => {
                f.write_str("is no known reason; write one that can be a client's fault, like `credentials_invalid`")
            }
            Self::Twice => f.write_str("stands twice in the same object; keep one"),
            Self::Missing { write } => write!(f, "is missing; write {write}"),
            Self::OneOf { known } => write!(f, "says none of them; write {}", one_of(known)),
            Self::OnlyOneOf { known } => {
                write!(f, "says more than one of them; write only {}", one_of(known))
            }
            Self::EmptyList => f.write_str("is an empty list; write an item, or remove the key"),
            Self::EmptyMap => f.write_str("is empty; write a key and its value, or remove it"),
            Self::EmptyText => f.write_str("is an empty text; write something, or remove it"),
            Self::TooManyItems { most } => write!(f, "has more than {most} items; write fewer"),
            Self::TooLongText { most } => {
                write!(f, "is longer than {most} bytes; write a shorter text")
            }
            Self::Repeated { first } => write!(f, "says the same as {first}; keep one"),
        }
    }
}

/// `a`, `b` or `c`, each in backquotes.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SizeForm => {
                "is no size; write bytes as a number, or a text like \"64KiB\", \"1MiB\", \"1GiB\""
            }
            Self::DurationForm => {
                "is no duration; write a number with one unit, like \"500ms\", \"5s\", \"10m\", \
                 \"24h\""
            }
            Self::RateForm => {
                "is no rate; write how many in how long a time, in quotes, like \"100/1m\""
            }
            Self::ByteRateForm => {
                "is no rate of bytes; write how many in how long a time, in quotes, like \
                 \"10MiB/1m\""
            }
            Self::Period => "is a rate over less than 100ms or more than 24h; write a time between",
            Self::Zero => "is 0, which would let nothing pass; write at least 1",
            Self::ZeroDuration => "is 0; write a duration, like \"2s\"",
            Self::Negative => "is negative; write a positive number",
            Self::Fraction => {
                "has a fraction; write a whole number, with a smaller unit if need be"
            }
            Self::Overflow => "is too large to be meant; write a smaller number",
            Self::Inexact => {
                "is beyond 2^53, where numbers are not exact; write it as a text, in quotes"
            }
            Self::AboveBound(most) => return write!(f, "is too large; write at most {most}"),
            Self::BelowBound(least) => return write!(f, "is too short; write at least {least}"),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Label => "is no name; write 1 to 64 of the characters a-z, 0-9, _ and -",
            Self::KeyId => {
                "is no key id; write 1 to 64 letters, digits, or ones of . _ * + = | @ -"
            }
            Self::Token => {
                "holds characters that HTTP allows in no name; write letters, digits and -"
            }
            Self::WhiteSpace => "begins or ends with white space; remove it",
            Self::ControlCharacter => "holds a control character; remove it",
            Self::Underscore => {
                "holds _, which servers read like -; write - instead (both forms are removed from \
                 what clients send)"
            }
            Self::ReservedHeader => {
                "is a header that HTTP, the WebSocket handshake or Envoy needs for itself; \
                 write another one, like x-api-key or x-user-id"
            }
            Self::Authority => {
                "is no host; write a name or an address, with its port where that is not the \
                 default, like issuer.example.com:8443"
            }
            Self::Path => {
                "is no path; write one that begins with / and holds neither spaces nor \
                 characters beyond ASCII, percent-encoded where need be"
            }
            Self::Pointer => "is no JSON pointer (RFC 6901); write one like /user/id",
            Self::PointerKey => {
                "has a key that is no JSON pointer (RFC 6901); write one like /type before the \
                 colon"
            }
            Self::ClaimPointer => {
                "begins with / and is no JSON pointer (RFC 6901) to a place in claims; write the \
                 claim's name, or a pointer like /realm_access/roles (~0 for ~, ~1 for /)"
            }
            Self::Cluster => "is no name of a cluster; write it as Envoy's configuration does",
            Self::CookieHeader => {
                "is the header of all cookies; name the one that holds the credential: \
                 {cookie: <name>}"
            }
        })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal => f.write_str(
                "is a secret written out, for everyone to read who sees this configuration or \
                 Envoy's dump of it; write {env: NAME}, and put it into that environment variable \
                 (and replace it: it has been seen)",
            ),
            Self::Form => f.write_str("is no reference to a secret; write {env: NAME}"),
            Self::VariableName => f.write_str(
                "is no name of an environment variable; write letters, digits and _, like \
                 JWT_SECRET",
            ),
            Self::Unset { variable } => {
                let variable = variable.as_deref().unwrap_or("the variable named here");
                write!(
                    f,
                    "{variable} is not set in the plugin's environment; set it, and name it in \
                     vm_config.environment_variables"
                )
            }
            Self::Empty => f.write_str("the variable is empty; put the secret into it"),
            Self::Authorization => f.write_str(
                "the variable holds nothing that an Authorization header could; put `id:secret` \
                 into it, a token, or the header's value with its scheme, in visible ASCII",
            ),
            Self::LineBreak => f.write_str(
                "the variable ends with a line break, which would be part of the secret; set it \
                 without",
            ),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str(
                "is no IP network; write one like 10.0.0.0/8 or 2001:db8::/32, or one address",
            ),
            Self::HostBits(network) => {
                write!(f, "has bits set behind its prefix; write {network} or a longer prefix")
            }
            Self::Mapped => f.write_str(
                "is IPv4 written as IPv6; write the IPv4 network itself, like 10.0.0.0/8",
            ),
        }
    }
}

macro_rules! from {
    ($($part:ident),* $(,)?) => {$(
        impl From<$part> for Fault {
            fn from(fault: $part) -> Self {
                Self::$part(fault)
            }
        }
    )*};
}

from!(Written, Shape, Amount, Name, Secret, Relation, Network);

impl Fault {
    /// Takes what another room says, whose errors show no secrets.
    pub(super) fn room(error: &impl fmt::Display) -> Self {
        Self::Room(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_listed_as_people_do() {
        assert_eq!(one_of(&[]), "");
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
