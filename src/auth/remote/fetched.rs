//! What an issuer answers when its keys are fetched.

use crate::auth::jwk::{KeySet, SetError};
use crate::host::CallAnswer;

/// What stands in an issuer's answer, if it is a key set.
pub(super) fn read(answer: &CallAnswer) -> Result<&[u8], FetchError> {
    match answer {
        CallAnswer::Whole { status: 200, body } => {
            KeySet::from_published(body).map_err(FetchError::Set).map(|_| body.as_slice())
        }
        CallAnswer::Whole { status, .. } => Err(FetchError::Status(*status)),
        CallAnswer::TooLong => Err(FetchError::TooLong),
        CallAnswer::Reset => Err(FetchError::Unreachable),
    }
}

/// Why keys can't be had: the operator's or the issuer's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    Status(u16),
    TooLong,
    Unreachable,
    Set(SetError),
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(503) => f.write_str(
                "the answer is 503, which Envoy itself gives where no host of the cluster can be \
                 reached",
            ),
            Self::Status(504) => f.write_str(
                "the answer is 504, which Envoy itself gives after `timeout`; raise that, or see \
                 to the issuer",
            ),
            Self::Status(status) => {
                write!(f, "the answer is {status} where 200 is needed; correct `host` and `path`")
            }
            Self::TooLong => f.write_str("the answer is longer than 256KiB"),
            Self::Unreachable => {
                f.write_str("Envoy knows no such cluster, or the connection was reset")
            }
            Self::Set(error) => error.fmt(f),
        }
    }
}
